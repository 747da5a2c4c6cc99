// Strategy: steps, each with its own limit and its own errors, and each skipped where there is nothing to do:
//
//   first peer --lookup--> addresses --happy eyeballs--> net.Socket
//              (IP literal, unix socket)   (own factory)     │
//        ┌───────────────────────────────────────────────────┘
//        └─┬─TLS──▶ proxy ──tunnel─┬─TLS──▶ target ──▶ Dialed
//          └───────for each────────┘
//
// The first peer is the first proxy, or without one the target. Through a tunnel everything is as it was at the beginning: a
// stream that leads to somebody. So there is nothing special about a chain of proxies, nor about TLS inside TLS.
//
// A step cleans up after itself when it fails (phase.ts); what an earlier step made is destroyed here. Every socket keeps
// a listener that ignores errors from the moment it exists, so no error, however late, can crash the process.

import { connect as netConnect, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { startGate } from './connect-gate.js'
import { ConnectionError, type ConnectionErrorCode } from './connection-error.js'
import { type DialOptions, type DialSettings, resolveDialOptions } from './dial-options.js'
import { startTls } from './dial-tls.js'
import { startRace } from './happy-eyeballs.js'
import { ipFamily } from './ip-family.js'
import { connectLending } from './lent-reads.js'
import { interleaveFamilies, startLookup } from './lookup.js'
import { startOwnConnection } from './own-connection.js'
import { type PhaseLimits, runPhase } from './phase.js'
import { type ProxyHop, resolveProxies } from './proxy.js'
import { discard } from './stream-events.js'
import { type Peer, peerName, type Target } from './target.js'
import { isWanted, tell } from './tell.js'
import { startTunnel } from './tunnel.js'

/**
 * How long each step took, in milliseconds; 0 for a step that was not needed.
 */
export interface DialTimings {
  readonly dnsMs: number
  readonly tcpMs: number
  /** All proxies together, TLS with them included. */
  readonly proxyMs: number
  /** TLS with the target. */
  readonly tlsMs: number
}

/**
 * A connection on which nothing has been said yet.
 */
export interface Dialed {
  /**
   * A `net.Socket`, a `tls.TLSSocket`, or what the factory returned. It belongs to the caller now. It is not flowing, and
   * has one listener on `'error'`, which does nothing, or those of an owner; look at `destroyed` before the first use.
   */
  readonly socket: Duplex
  readonly timings: DialTimings
  /** The first proxy's where there is one. Null for unix sockets, and for streams of a factory that do not say. */
  readonly remoteAddress: string | null
  readonly remotePort: number | null
  readonly remoteFamily: 4 | 6 | null
}

/** A step that was taken. */
interface Taken<T> {
  readonly value: T
  readonly ms: number
}

/**
 * Connects to a target over TCP, TLS or a unix socket, through proxies where there are any.
 *
 * @throws ConnectionError with phase `dns`, `tcp`, `proxy` or `tls`.
 * @throws AbortError when the signal is aborted, in whatever phase.
 * @throws UsageError `WS_BAD_OPTION`, before anything is done.
 * Whatever is thrown, no socket, timer or listener stays behind.
 */
export const dial = (target: Target, options: DialOptions = {}): Promise<Dialed> => {
  try {
    return dialWith(target, resolveDialOptions(options), options.proxy)
  } catch (error) {
    return Promise.reject(error)
  }
}

/** What only `connect()` asks for. */
export interface DialedFor {
  /** Asks to wait until nobody else is connecting to the same address (connect-gate.ts); gets how to let others. */
  readonly onGate?: ((leave: () => void) => void) | undefined
  /** Whether the socket will have an owner (stream-owner.ts), so that it may lend what it reads. */
  readonly owned?: boolean
}

/**
 * The same with settings that were checked before.
 */
export const dialWith = async (
  target: Target,
  settings: DialSettings,
  through: DialOptions['proxy'],
  { onGate, owned = false }: DialedFor = {},
): Promise<Dialed> => {
  const proxies = resolveProxies(through, target, process.env)
  const first: Peer = proxies[0] ?? target
  const found = lookUp(first, settings)
  // Functions of the user's are not called before `connect()` has returned.
  const isNodes = settings.createConnection === undefined && settings.netConnect === netConnect
  const addresses = found instanceof Promise || !isNodes ? await found : found
  if (onGate !== undefined) {
    const limits = phaseLimits(settings, 'WS_CONNECT_TIMEOUT', Infinity, peerName(target))
    const names = gateNames(target, proxies.length === 0 ? addresses.value : [])
    onGate((await runPhase(limits, startGate(names))).value)
  }
  // TLS and proxies read as they like, and so does whoever connects instead of Node.
  const isPlain = proxies.length === 0 && !target.secure && isNodes
  const how = owned && isPlain ? connectLending(netConnect) : settings.netConnect
  const tcp = await connect(first, target, settings, how, addresses.value)
  let stream = tcp.value
  let [proxyMs, tlsMs] = [0, 0]
  try {
    if (isWanted(settings.onEvent, 'connect')) {
      const { remoteAddress } = new Remote(tcp.value)
      tell(settings.onEvent, { type: 'connect', peer: peerName(first), remoteAddress, ms: tcp.ms })
    }
    for (const proxy of proxies) {
      if (proxy.secure) {
        const tls = await secure(stream, proxy, settings, proxy.tls)
        stream = tls.value
        proxyMs += tls.ms
      }
      proxyMs += await openTunnel(stream, proxy, settings)
    }
    if (target.secure) {
      const tls = await secure(stream, target, settings, settings.tls)
      stream = tls.value
      tlsMs = tls.ms
    }
  } catch (error) {
    // And with it whatever TLS there is inside.
    discard(tcp.value)
    throw error
  }
  const timings = { dnsMs: addresses.ms, tcpMs: tcp.ms, proxyMs, tlsMs }
  return new DialedStream(stream, timings, tcp.value)
}

const phaseLimits = (
  { clock, signal }: DialSettings,
  code: ConnectionErrorCode,
  limitMs: number,
  peer: string,
): PhaseLimits => ({
  clock,
  signal,
  limitMs,
  timeoutError: () => new ConnectionError(code, peer, { limitMs }),
})

const gateNames = ({ hostname, port, socketPath }: Target, addresses: readonly string[]): readonly string[] =>
  // 4.1: where the addresses are not known, as behind a proxy, the name stands for them.
  socketPath === null
    ? (addresses.length === 0 ? [hostname] : addresses).map(one => `${one} ${port}`)
    : [socketPath]

const lookUp = (
  { hostname, socketPath }: Peer,
  settings: DialSettings,
): Taken<string[]> | Promise<Taken<string[]>> => {
  if (settings.createConnection !== undefined || socketPath !== null) return { value: [], ms: 0 }
  return ipFamily(hostname) === 0 ? lookUpName(hostname, settings) : { value: [hostname], ms: 0 }
}

const lookUpName = async (hostname: string, settings: DialSettings): Promise<Taken<string[]>> => {
  const limits = phaseLimits(settings, 'WS_DNS_TIMEOUT', settings.domainLookupTimeoutMs, hostname)
  const { value, ms } = await runPhase(limits, startLookup(hostname, settings.family, settings.lookup))
  const addresses = interleaveFamilies(value).map(one => one.address)
  tell(settings.onEvent, { type: 'domain-lookup', hostname, addresses, ms })
  return { value: addresses, ms }
}

const connect = (
  peer: Peer,
  target: Target,
  settings: DialSettings,
  how: DialSettings['netConnect'],
  addresses: readonly string[],
): Promise<Taken<Duplex>> => {
  const { createConnection, tcp, attemptDelayMs, clock } = settings
  const limits = phaseLimits(settings, 'WS_CONNECT_TIMEOUT', settings.connectTimeoutMs, peerName(peer))
  if (createConnection !== undefined) return runPhase(limits, startOwnConnection(target, createConnection))
  const { socketPath, port } = peer
  // A peer that half-closes behind its Close can still read ours.
  const candidates =
    socketPath === null
      ? addresses.map(host => ({ host, port, ...tcp, allowHalfOpen: true }))
      : [{ path: socketPath, allowHalfOpen: true }]
  return runPhase<Socket>(limits, (resolve, reject) =>
    startRace({ candidates, connect: how, attemptDelayMs, clock }, resolve, cause =>
      reject(new ConnectionError('WS_CONNECT_FAILED', peerName(peer), { cause })),
    ),
  )
}

const secure = async (
  stream: Duplex,
  peer: Peer,
  settings: DialSettings,
  options: DialSettings['tls'],
): Promise<Taken<Duplex>> => {
  const limits = phaseLimits(settings, 'WS_TLS_TIMEOUT', settings.tlsHandshakeTimeoutMs, peerName(peer))
  const isOwn = settings.createConnection !== undefined
  const tls = await runPhase(limits, startTls(stream, peer, options, isOwn))
  const protocol = tls.value.getProtocol()
  const cipher = protocol === null ? null : tls.value.getCipher().name
  tell(settings.onEvent, { type: 'tls', peer: peerName(peer), protocol, cipher, ms: tls.ms })
  return tls
}

const openTunnel = async (stream: Duplex, proxy: ProxyHop, settings: DialSettings): Promise<number> => {
  const { href, next, tunnel, negotiation } = proxy
  const limits = phaseLimits(settings, 'WS_PROXY_TIMEOUT', settings.proxyTimeoutMs, tunnel)
  const timeoutError = (limitMs: number): Error => negotiation.refusal ?? limits.timeoutError(limitMs)
  const { ms } = await runPhase({ ...limits, timeoutError }, startTunnel(stream, negotiation, tunnel))
  tell(settings.onEvent, { type: 'proxy', proxy: href, peer: next, ms })
  return ms
}

/** Where a stream leads. That is a question to the operating system, asked for who wants to know. */
class Remote {
  readonly #stream: Duplex

  constructor(stream: Duplex) {
    this.#stream = stream
  }

  get remoteAddress(): string | null {
    return (this.#stream instanceof Socket ? this.#stream.remoteAddress : null) ?? null
  }

  get remotePort(): number | null {
    return (this.#stream instanceof Socket ? this.#stream.remotePort : null) ?? null
  }

  get remoteFamily(): 4 | 6 | null {
    return ipFamily(this.remoteAddress ?? '') || null
  }
}

class DialedStream extends Remote implements Dialed {
  readonly socket: Duplex
  readonly timings: DialTimings

  constructor(socket: Duplex, timings: DialTimings, tcp: Duplex) {
    super(tcp)
    this.socket = socket
    this.timings = timings
  }
}
