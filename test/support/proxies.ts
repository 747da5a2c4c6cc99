// Strategy: proxies that know nothing of `src`. Two work: CONNECT on `node:http`, or `node:https` for TLS inside TLS, and a
// SOCKS5 of a few lines; both take every name for 127.0.0.1, so a name that no system knows proves where it was resolved.
// The third does what it is told, and is for all that a proxy can do wrong.
import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect as netConnect, createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { certificates } from './certificates.js'
import { serve } from './servers.js'

const HOST = '127.0.0.1'

/** A proxy that works. */
export interface TestProxy {
  readonly port: number
  /** `scheme://127.0.0.1:port`. */
  readonly url: string
  /** What it was asked for, in order: heads of CONNECT, or `host:port` of SOCKS5. */
  readonly asked: readonly string[]
}

export interface Credentials {
  readonly user: string
  readonly password: string
}

/** Joins a client and what it asked for until either is gone. */
const join = (client: Duplex, target: Socket): void => {
  client.on('error', () => {}).on('close', () => target.destroy())
  target.on('error', () => {}).on('close', () => client.destroy())
  client.pipe(target).pipe(client)
}

/** Connects to a port here, whatever the name; null when nobody is there. */
const reach = async (port: number): Promise<Socket | null> => {
  const target = netConnect({ host: HOST, port, allowHalfOpen: true })
  try {
    await once(target, 'connect')
    return target
  } catch {
    return null
  }
}

/** An HTTP proxy. With `tls` it speaks TLS to its clients. */
export const connectProxy = async (
  t: Test,
  { tls = false, credentials }: { readonly tls?: boolean; readonly credentials?: Credentials } = {},
): Promise<TestProxy> => {
  const asked: string[] = []
  const expected =
    credentials && `Basic ${Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64')}`
  const server: Server = tls
    ? createHttpsServer({ ...certificates.valid, ALPNProtocols: ['http/1.1'] })
    : createHttpServer()
  const answer = async (request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> => {
    client.on('error', () => {})
    asked.push(headOf(request))
    if (request.headers['proxy-authorization'] !== expected) {
      client.end(
        'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="here"\r\nContent-Length: 12\r\n\r\nwho are you?',
      )
      return
    }
    const target = await reach(Number(/\d+$/.exec(request.url ?? '')))
    if (target === null) {
      client.end('HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\nnobody there')
      return
    }
    client.write('HTTP/1.1 200 Connection established\r\n\r\n')
    target.write(head)
    join(client, target)
  }
  server.on('connect', (request: IncomingMessage, client: Duplex, head: Buffer) => {
    void answer(request, client, head)
  })
  const port = await serve(t, server)
  return { port, url: `${tls ? 'https' : 'http'}://${HOST}:${port}`, asked }
}

const headOf = ({ method, url, httpVersion, rawHeaders }: IncomingMessage): string => {
  const fields = rawHeaders.flatMap((text, i) => (i % 2 === 0 ? [`${text}: ${rawHeaders[i + 1]}`] : []))
  return [`${method} ${url} HTTP/${httpVersion}`, ...fields].join('\n')
}

/** A SOCKS5 proxy. */
export const socksProxy = async (t: Test, credentials?: Credentials): Promise<TestProxy> => {
  const asked: string[] = []
  const port = await serve(
    t,
    createServer({ allowHalfOpen: true }, client => {
      client.on('error', () => {})
      // A client that goes away in the middle.
      serveSocks(client, asked, credentials).catch(() => client.destroy())
    }),
  )
  return { port, url: `socks5://${HOST}:${port}`, asked }
}

const serveSocks = async (client: Socket, asked: string[], credentials?: Credentials): Promise<void> => {
  const take = async (count: number): Promise<Buffer> => {
    for (;;) {
      if (count === 0) return Buffer.of()
      const bytes = client.read(count) as Buffer | null
      if (bytes !== null && bytes.length === count) return bytes
      if (client.readableEnded || client.destroyed) throw new Error('it ended')
      await once(client, 'readable')
    }
  }
  const takeText = async (): Promise<string> => (await take((await take(1))[0])).toString()
  const methods = [...(await take((await take(2))[1]))]
  const wanted = credentials === undefined ? 0 : 2
  if (!methods.includes(wanted)) {
    client.end(Buffer.of(5, 0xff))
    return
  }
  client.write(Buffer.of(5, wanted))
  if (credentials !== undefined) {
    await take(1)
    const [user, password] = [await takeText(), await takeText()]
    const ok = user === credentials.user && password === credentials.password
    if (!ok) {
      client.end(Buffer.of(1, 1))
      return
    }
    client.write(Buffer.of(1, 0))
  }
  const type = (await take(4))[3]
  const address =
    type === 3
      ? await takeText()
      : type === 1
        ? [...(await take(4))].join('.')
        : `[${(await take(16)).toString('hex')}]`
  const port = (await take(2)).readUInt16BE()
  asked.push(`${address}:${port}`)
  const target = await reach(port)
  if (target === null) {
    client.end(Buffer.of(5, 5, 0, 1, 0, 0, 0, 0, 0, 0))
    return
  }
  client.write(Buffer.of(5, 0, 0, 1, 127, 0, 0, 1, 0, 80))
  join(client, target)
}

/** What a proxy answers to one message of its client, and then. */
export interface Answer {
  readonly bytes: string | Uint8Array
  readonly ending?: 'end' | 'reset'
}

/** A proxy that does what it is told. */
export interface ScriptedProxy {
  readonly port: number
  /** Each message of its clients. */
  readonly heard: readonly Buffer[]
  /** Settles at the first message that has no answer. */
  readonly silent: Promise<void>
}

/** A proxy that gives these answers, one to each message, and says nothing more. */
export const scriptedProxy = async (t: Test, ...answers: readonly Answer[]): Promise<ScriptedProxy> => {
  const heard: Buffer[] = []
  let becomeSilent!: () => void
  const silent = new Promise<void>(resolve => {
    becomeSilent = resolve
  })
  const server = createServer({ allowHalfOpen: true }, client => {
    let said = 0
    client.on('error', () => {}).on('end', () => client.end())
    client.on('data', (chunk: Buffer) => {
      heard.push(chunk)
      const answer = answers[said++]
      if (answer !== undefined) {
        client.write(
          typeof answer.bytes === 'string' ? Buffer.from(answer.bytes, 'latin1') : answer.bytes,
          () => {
            if (answer.ending === 'end') client.end()
            if (answer.ending === 'reset') client.resetAndDestroy()
          },
        )
      }
      if (answer === undefined) becomeSilent()
    })
  })
  return { port: await serve(t, server), heard, silent }
}
