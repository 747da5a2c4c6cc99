// Strategy: finds a Python that can import `websockets`, first where `scripts/ci/python-peers.sh` puts one, and leads
// `peer.py` over its standard input and output, a JSON object a line. The child ends when its input is closed, so a test
// that dies leaves nothing behind.
import { spawn, spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import {
  type Close,
  type Data,
  type Heard,
  type PeerClient,
  Queue,
  type StartServer,
} from './conversation.js'

const ROOT = join(import.meta.dirname, '../..')
const CHECK = 'import websockets.asyncio.server, websockets; print(websockets.__version__)'

/** The command of a Python that has `websockets`, or null; SANSOCKET_PYTHON goes before all others. */
export const findPython = (): { readonly command: string; readonly version: string } | null => {
  const own = process.env['SANSOCKET_PYTHON']
  const places = [
    ...(own === undefined ? [] : [own]),
    join(ROOT, '.cache/python/bin/python'),
    join(ROOT, '.cache/python/Scripts/python.exe'),
    'python3',
    'python',
  ]
  for (const command of places) {
    const { status, stdout } = spawnSync(command, ['-c', CHECK], { encoding: 'utf8', timeout: 20_000 })
    if (status === 0) return { command, version: stdout.trim() }
  }
  return null
}

/** What the factories of `permessage-deflate` take; a client's window may go without a limit. */
export interface PythonDeflate {
  readonly server_no_context_takeover?: boolean
  readonly client_no_context_takeover?: boolean
  readonly server_max_window_bits?: number
  readonly client_max_window_bits?: number | true
}

/** `peer.py`, running. */
export interface PythonPeer {
  readonly start: StartServer
  readonly client: PeerClient
  /** Starts a server that compresses; null for as the package does by default. @returns its URL without a path. */
  serve(deflate: PythonDeflate | null): Promise<string>
  /** A client that sends so many messages back, a ping behind each, and waits for our Close. @returns what was agreed on. */
  echo(url: string, deflate: PythonDeflate | null, count: number, fragments: boolean): Promise<string>
}

type Answer = {
  readonly id: number
  readonly error?: string
  readonly port?: number
  readonly heard?: unknown
}
type Packed = { readonly text: string } | { readonly binary: string }

const pack = (data: Data): Packed =>
  typeof data === 'string' ? { text: data } : { binary: Buffer.from(data).toString('base64') }

const unpack = (data: Packed): Data =>
  'text' in data ? data.text : new Uint8Array(Buffer.from(data.binary, 'base64'))

/** Starts the peer; it ends with the test. */
export const startPython = (t: Test, command: string): PythonPeer => {
  const files = t.testdir()
  let written = 0
  const asFile = async (pem: string): Promise<string> => {
    const path = join(files, `${written++}.pem`)
    await writeFile(path, pem)
    return path
  }

  const child = spawn(command, [join(import.meta.dirname, 'peer.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PYTHONIOENCODING: 'utf-8', PYTHONDONTWRITEBYTECODE: '1' },
  })
  const gone = new Promise<void>(resolve => child.once('close', () => resolve()))
  const waiting = new Map<number, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>()
  const closes = new Queue<Close>()
  createInterface({ input: child.stdout }).on('line', line => {
    const message = JSON.parse(line) as Answer | { readonly closed: Close }
    if ('closed' in message) {
      closes.put(message.closed)
      return
    }
    const asked = waiting.get(message.id)
    waiting.delete(message.id)
    if (message.error === undefined) asked?.resolve(message)
    else asked?.reject(new Error(`in Python: ${message.error}`))
  })
  void gone.then(() => {
    for (const { reject } of waiting.values()) reject(new Error('the Python peer has ended'))
  })
  t.teardown(async () => {
    child.stdin.end()
    const insist = setTimeout(() => child.kill('SIGKILL'), 5000)
    await gone
    clearTimeout(insist)
  })

  let asked = 0
  const ask = (request: object): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const id = asked++
      waiting.set(id, { resolve, reject })
      child.stdin.write(`${JSON.stringify({ id, ...request })}\n`)
    })

  return {
    async serve(deflate) {
      const { port } = await ask({ do: 'serve', cert: null, key: null, deflate })
      return `ws://127.0.0.1:${port}`
    },
    async echo(url, deflate, count, fragments) {
      const actions = [{ do: 'echo', count, fragments }, { do: 'await-close' }]
      const answer = await ask({ do: 'talk', url, ca: null, subprotocols: [], headers: {}, actions, deflate })
      return (answer.heard as Heard).extensions
    },
    async start(_t, tls) {
      const cert = tls === null ? null : await asFile(tls.cert)
      const key = tls === null ? null : await asFile(tls.key)
      const { port } = await ask({ do: 'serve', cert, key })
      return {
        url: `${tls === null ? 'ws' : 'wss'}://127.0.0.1:${port}`,
        nextClose: () => closes.next(),
      }
    },
    client: {
      can: { fragments: true, terminate: true },
      async talk({ url, ca, subprotocols = [], headers = {}, actions }) {
        const file = ca === null ? null : await asFile(ca)
        const packed = actions.map(action => {
          if (action.do === 'send') return { ...action, data: pack(action.data) }
          if (action.do === 'send-fragments') return { ...action, parts: action.parts.map(pack) }
          return action
        })
        const answer = await ask({ do: 'talk', url, ca: file, subprotocols, headers, actions: packed })
        const heard = answer.heard as Omit<Heard, 'messages'> & { readonly messages: readonly Packed[] }
        return { ...heard, messages: heard.messages.map(unpack) }
      },
    },
  }
}
