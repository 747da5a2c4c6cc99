// Strategy: what tests of dialing share: targets that send everything back, and how to get to them. A target over TCP has a
// name that no system knows, so whoever gets there has asked a proxy.
import { connect as netConnect, createServer, type LookupFunction, type Socket } from 'node:net'
import type { Test } from 'tap'
import { createServer as createTlsServer } from 'node:tls'
import type { DialOptions } from '../../src/transport/dial-options.js'
import { type Dialed, dial } from '../../src/transport/dial.js'
import { parseTarget } from '../../src/transport/target.js'
import { authority, certificates } from './certificates.js'
import { type Answer, type ScriptedProxy, scriptedProxy } from './proxies.js'
import { leavesNothing, serve } from './servers.js'

/** The authority of the tests, for a target as well as for a proxy. */
export const TRUST = { tls: { ca: authority.cert } } as const
/** Nothing about them is simple. */
export const CREDENTIALS = { user: 'jo é', password: 'p@ss:wörd' } as const
/** A proxy has opened the tunnel. */
export const OPEN = 'HTTP/1.1 200 OK\r\n\r\n'
/** Nobody knows this name: whoever connects to it has asked a proxy. */
export const NAME = 'target.invalid'

/** Takes every name for this machine. */
export const loopback: LookupFunction = (_hostname, _options, callback) => callback(null, '127.0.0.1', 4)

/** Dials a URL; whatever is looked up on the way is a failure. */
export const dialUrl = (url: string, options: DialOptions): Promise<Dialed> =>
  dial(parseTarget(url), {
    lookup: (hostname, _options, callback) =>
      callback(new Error(`${hostname} was looked up here`), '127.0.0.1', 4),
    ...options,
  })

/** A server that sends everything back; its port. */
export const echoServer = (t: Test): Promise<number> =>
  serve(
    t,
    createServer(socket => socket.on('error', () => {}).pipe(socket)),
  )

/** The same over TLS. */
export const tlsEchoServer = (
  t: Test,
  certificate: (typeof certificates)[keyof typeof certificates],
): Promise<number> =>
  serve(
    t,
    createTlsServer(certificate, socket => socket.on('error', () => {}).pipe(socket)),
  )

/** The certificate of tests is for localhost, so that is what a secure target is called. */
export const targets = async (t: Test): Promise<Record<'ws' | 'wss', string>> => ({
  ws: `ws://${NAME}:${await echoServer(t)}/`,
  wss: `wss://localhost:${await tlsEchoServer(t, certificates.valid)}/`,
})

/** What comes back of a text; it needs to be as long. */
export const echoes = async ({ socket }: Dialed, text = 'hello'): Promise<string> => {
  let heard = ''
  const all = new Promise<string>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString()
      if (heard.length >= text.length) resolve(heard)
    })
    socket.once('error', reject).once('close', () => reject(new Error('it closed')))
  })
  socket.write(text)
  return all
}

const USER_INFO = 'jo%20%C3%A9:p%40ss%3Aw%C3%B6rd'
/** The same URL with `CREDENTIALS`. */
export const withUserInfo = (url: string): string => url.replace('//', `//${USER_INFO}@`)

/** Something that was dialed through a scripted proxy. */
export interface Dialing {
  readonly dialing: Promise<Dialed>
  readonly proxy: ScriptedProxy
  /** What errors call it. */
  readonly tunnel: string
}

/** Dials through a proxy that gives these answers; when `check` is done, nothing must be left. */
export const through = async (
  t: Test,
  scheme: 'http' | 'socks5',
  answers: readonly Answer[],
  check: (dialing: Dialing) => Promise<void>,
  options: DialOptions = {},
): Promise<void> => {
  const proxy = await scriptedProxy(t, ...answers)
  const url = `${scheme}://127.0.0.1:${proxy.port}`
  await leavesNothing(t, () =>
    check({
      dialing: dialUrl(`ws://${NAME}/`, { proxy: url, ...options }),
      proxy,
      tunnel: `${url} to ${NAME}:80`,
    }),
  )
}

export const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values)
/** A whole reply of SOCKS5. */
export const socksReply = (reply: number): Uint8Array => bytes(5, reply, 0, 1, 0, 0, 0, 0, 0, 0)
/** The proxy wants no password. */
export const NO_AUTH: Answer = { bytes: bytes(5, 0) }

/** Keeps every socket that is made. */
export const keeping = (made: Socket[]): Pick<DialOptions, 'netConnect'> => ({
  netConnect: options => {
    const socket = netConnect(options)
    made.push(socket)
    return socket
  },
})
