// Strategy: real proxies of others, tinyproxy (CONNECT) and microsocks (SOCKS5), as processes of their own on free ports,
// alone and in chains, with and without a password; and our own HTTPS proxy of the tests around and behind them, as neither
// speaks TLS to its clients. All of `connect()` goes through: messages of every size, a clean close, a lost connection.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, connect as netConnect, createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import t, { type Test } from 'tap'
import { connect, type ConnectionError, type ConnectOptions, type Socket } from '../../src/index.js'
import type { ProxyOptions } from '../../src/transport/dial-options.js'
import { certificates } from '../support/certificates.js'
import { TRUST } from '../support/dialing.js'
import { type Credentials, connectProxy } from '../support/proxies.js'
import { startListener } from '../support/raw-peer.js'
import { failure, leavesNothing } from '../support/servers.js'
import { describe, SAMPLES } from './conversation.js'

const required = process.env['CI'] === 'true' || process.env['SANSOCKET_REQUIRE_PEERS'] === '1'
const HOST = '127.0.0.1'
const USER: Credentials = { user: 'jo', password: 'p-w.1' }

const isInstalled = (command: string): boolean =>
  (process.env['PATH'] ?? '').split(delimiter).some(folder => existsSync(join(folder, command)))

const freePort = async (): Promise<number> => {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, HOST, resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = netConnect(port, HOST)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })

/** A process that listens on a port; it ends with the test. */
const start = async (t: Test, port: number, command: string, args: readonly string[]): Promise<void> => {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  let running = true
  const gone = new Promise<void>(resolve => {
    const end = (): void => {
      running = false
      resolve()
    }
    child.once('close', end).once('error', end)
  })
  t.teardown(async () => {
    child.kill('SIGKILL')
    await gone
  })
  while (!(await isOpen(port))) if (!running) throw new Error(`${command} ended: ${said}`)
}

const url = (scheme: string, port: number, user?: Credentials): string =>
  `${scheme}://${user === undefined ? '' : `${user.user}:${user.password}@`}${HOST}:${port}`

const tinyproxy = async (t: Test, folder: string, user?: Credentials): Promise<number> => {
  const port = await freePort()
  const file = join(folder, `${port}.conf`)
  const auth = user === undefined ? '' : `BasicAuth ${user.user} ${user.password}\n`
  await writeFile(file, `Port ${port}\nListen ${HOST}\nAllow ${HOST}\nTimeout 60\nLogLevel Critical\n${auth}`)
  await start(t, port, 'tinyproxy', ['-d', '-c', file])
  return port
}

const microsocks = async (t: Test, user?: Credentials): Promise<number> => {
  const port = await freePort()
  const auth = user === undefined ? [] : ['-u', user.user, '-P', user.password]
  await start(t, port, 'microsocks', ['-i', HOST, '-p', String(port), ...auth])
  return port
}

/** Sends every message back, but for one; its URL. */
const listening = async (tls?: (typeof certificates)['valid']): Promise<string> => {
  const listener = await startListener(t, tls === undefined ? {} : { tls }, socket => {
    socket.onMessage = ({ data }) => (data === 'drop' ? socket.terminate() : socket.write(data))
  })
  return `${tls === undefined ? 'ws' : 'wss'}://localhost:${listener.port}/`
}

type Chain = ConnectOptions['proxy']

/** Nothing is looked up here: names are for the proxies. */
const open = (to: string, proxy: Chain, more: ConnectOptions = {}): Promise<Socket> =>
  connect(to, {
    ...TRUST,
    lookup: (hostname, _options, callback) => callback(new Error(`${hostname} was looked up here`), HOST, 4),
    proxy,
    ...more,
  })

const missing = ['tinyproxy', 'microsocks'].filter(command => !isInstalled(command))

if (missing.length > 0) {
  const reason = `no ${missing.join(' and ')} here: scripts/ci/proxies.sh installs them`
  if (required) t.fail(`${reason}, and CI needs them`)
  else t.plan(0, reason)
} else {
  const folder = t.testdir()
  const [tiny, tinyWithUser] = [await tinyproxy(t, folder), await tinyproxy(t, folder, USER)]
  const [micro, microWithUser] = [await microsocks(t), await microsocks(t, USER)]
  const own = await connectProxy(t, { tls: true })
  const targets = [await listening(), await listening(certificates.valid)]

  const https: ProxyOptions = { url: own.url, ...TRUST }
  const http = url('http', tiny)
  const httpWithUser = url('http', tinyWithUser, USER)
  const socks = url('socks5', micro)
  const socksWithUser = url('socks5h', microWithUser, USER)
  const chains: Record<string, Chain> = {
    tinyproxy: http,
    'tinyproxy with a password': httpWithUser,
    microsocks: socks,
    'microsocks with a password': socksWithUser,
    'tinyproxy, then microsocks': [httpWithUser, socks],
    'microsocks, then tinyproxy': [socksWithUser, http],
    'TLS to a proxy': https,
    'TLS to a proxy, then tinyproxy, then microsocks': [https, httpWithUser, socksWithUser],
    'tinyproxy, then TLS to a proxy': [http, https],
    'microsocks, then TLS to a proxy, then TLS to it again': [socks, https, https],
  }

  for (const [name, chain] of Object.entries(chains)) {
    t.test(`carries every message, and a clean close, through ${name}`, async t => {
      for (const target of targets) {
        await leavesNothing(t, async () => {
          const socket = await open(target, chain)
          for (const sample of SAMPLES) socket.write(sample)
          const echoed: string[] = []
          for await (const { data } of socket) {
            echoed.push(describe(data))
            if (echoed.length === SAMPLES.length) break
          }
          t.same(echoed, SAMPLES.map(describe), target)
          t.match(await socket.close(1000, 'done'), {
            wasClean: true,
            received: { code: 1000, reason: 'done' },
            error: null,
          })
        })
      }
    })
  }

  t.test('notices behind every proxy that the connection is lost', async t => {
    for (const [name, chain] of Object.entries(chains)) {
      for (const target of targets) {
        await leavesNothing(t, async () => {
          const socket = await open(target, chain)
          socket.write('drop')
          t.match(
            await socket.closed,
            { wasClean: false, error: { code: 'WS_CONNECTION_LOST' } },
            `${name} ${target}`,
          )
        })
      }
    }
  })

  t.test('drops the connection through every proxy when it is told to', async t => {
    for (const [name, chain] of Object.entries(chains)) {
      for (const target of targets) {
        await leavesNothing(t, async () => {
          const socket = await open(target, chain)
          socket.terminate()
          t.match(await socket.closed, { error: { code: 'WS_CLOSED_LOCALLY' } }, `${name} ${target}`)
        })
      }
    }
  })

  t.test('is refused with a wrong password, and without one', async t => {
    const wrong = { user: USER.user, password: 'secret' }
    const cases: readonly (readonly [Chain, string])[] = [
      [url('http', tinyWithUser), 'status-407'],
      [url('http', tinyWithUser, wrong), 'status-401'],
      [url('socks5', microWithUser), 'no-acceptable-auth-method'],
      [url('socks5', microWithUser, wrong), 'username-password-auth-failure'],
      [[http, url('socks5', microWithUser, wrong)], 'username-password-auth-failure'],
    ]
    for (const [proxy, detail] of cases) {
      for (const target of targets) {
        await leavesNothing(t, async () => {
          const error = await failure(open(target, proxy))
          t.match(error, { code: 'WS_PROXY_REFUSED', phase: 'proxy', detail })
          t.notMatch(error.message, /secret/)
        })
      }
    }
  })

  t.test('is told when the target cannot be reached', async t => {
    const closed = `ws://localhost:${await freePort()}/`
    await leavesNothing(t, async () => {
      const byHttp = await failure(open(closed, http))
      t.match(byHttp, { code: 'WS_PROXY_REFUSED', detail: /^status-5\d\d$/ })
      const { response } = byHttp as ConnectionError
      t.match(Buffer.from(response!.body).toString(), /html/i, 'with the page that explains it')
      const bySocks = await failure(open(closed, socks))
      t.match(bySocks, { code: 'WS_PROXY_REFUSED', detail: 'connection-refused', response: null })
    })
  })
}
