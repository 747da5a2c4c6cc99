// Strategy: three steps, each with its own limit and its own errors, and each skipped where there is nothing to do:
//
//   target --lookup--> addresses --happy eyeballs--> net.Socket --TLS--> tls.TLSSocket --> Dialed
//                      (IP literal, unix socket)     (own factory)
//
// A step cleans up after itself when it fails (phase.ts); what an earlier step made is destroyed here. Every socket keeps
// a listener that ignores errors from the moment it exists, so no error, however late, can crash the process.

import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { startGate } from './connect-gate.js'
import { ConnectionError, type ConnectionErrorCode } from './connection-error.js'
import { type DialOptions, type DialSettings, resolveDialOptions } from './dial-options.js'
import { startTls } from './dial-tls.js'
import { startRace } from './happy-eyeballs.js'
import { ipFamily } from './ip-family.js'
import { interleaveFamilies, startLookup } from './lookup.js'
import { startOwnConnection } from './own-connection.js'
import { type PhaseLimits, runPhase } from './phase.js'
import { discard } from './stream-events.js'
import { peerName, type Target } from './target.js'

/**
 * How long each step took, in milliseconds; 0 for a step that was not needed.
 */
export interface DialTimings {
  readonly dnsMs: number
  readonly tcpMs: number
  readonly tlsMs: number
}

/**
 * A connection on which nothing has been said yet.
 */
export interface Dialed {
  /**
   * A `net.Socket`, a `tls.TLSSocket`, or what the factory returned. It belongs to the caller now. It was not read from and
   * has one listener on `'error'`, which does nothing; look at `destroyed` before the first use.
   */
  readonly socket: Duplex
  readonly timings: DialTimings
  /** Null for unix sockets, and for streams of a factory that do not say. */
  readonly remoteAddress: string | null
  readonly remotePort: number | null
  readonly remoteFamily: 4 | 6 | null
}

/**
 * Connects to a target over TCP, TLS or a unix socket.
 *
 * @param onGate asks to wait until nobody else is connecting to the same address (connect-gate.ts); gets how to let others.
 * @throws ConnectionError with phase `dns`, `tcp` or `tls`.
 * @throws AbortError when the signal is aborted, in whatever phase.
 * @throws UsageError `WS_BAD_OPTION`, before anything is done.
 * Whatever is thrown, no socket, timer or listener stays behind.
 */
export const dial = async (
  target: Target,
  options: DialOptions = {},
  onGate?: (leave: () => void) => void,
): Promise<Dialed> => {
  const settings = resolveDialOptions(options)
  const addresses = await lookUp(target, settings)
  if (onGate !== undefined) {
    const limits = phaseLimits(settings, 'WS_CONNECT_TIMEOUT', Infinity, peerName(target))
    onGate((await runPhase(limits, startGate(gateNames(target, addresses.value)))).value)
  }
  const tcp = await connect(target, settings, addresses.value)
  let tls: { value: Duplex; ms: number } = { value: tcp.value, ms: 0 }
  if (target.secure) {
    try {
      const limits = phaseLimits(settings, 'WS_TLS_TIMEOUT', settings.tlsHandshakeTimeoutMs, peerName(target))
      tls = await runPhase(limits, startTls(tcp.value, target, settings.tls))
    } catch (error) {
      discard(tcp.value)
      throw error
    }
  }
  return {
    socket: tls.value,
    timings: { dnsMs: addresses.ms, tcpMs: tcp.ms, tlsMs: tls.ms },
    ...remote(tcp.value),
  }
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

const lookUp = async (target: Target, settings: DialSettings): Promise<{ value: string[]; ms: number }> => {
  const { hostname, socketPath } = target
  if (settings.createConnection !== undefined || socketPath !== null) return { value: [], ms: 0 }
  if (ipFamily(hostname) !== 0) return { value: [hostname], ms: 0 }
  const limits = phaseLimits(settings, 'WS_DNS_TIMEOUT', settings.domainLookupTimeoutMs, hostname)
  const { value, ms } = await runPhase(limits, startLookup(hostname, settings.family, settings.lookup))
  return { value: interleaveFamilies(value).map(one => one.address), ms }
}

const connect = (
  target: Target,
  settings: DialSettings,
  addresses: readonly string[],
): Promise<{ value: Duplex; ms: number }> => {
  const { createConnection, netConnect, tcp } = settings
  const limits = phaseLimits(settings, 'WS_CONNECT_TIMEOUT', settings.connectTimeoutMs, peerName(target))
  if (createConnection !== undefined) return runPhase(limits, startOwnConnection(target, createConnection))
  const { socketPath, port } = target
  // A peer that half-closes behind its Close can still read ours.
  const candidates =
    socketPath === null
      ? addresses.map(host => ({ host, port, ...tcp, allowHalfOpen: true }))
      : [{ path: socketPath, allowHalfOpen: true }]
  return runPhase<Socket>(limits, (resolve, reject) =>
    startRace({ ...settings, candidates, connect: netConnect }, resolve, cause =>
      reject(new ConnectionError('WS_CONNECT_FAILED', peerName(target), { cause })),
    ),
  )
}

const remote = (stream: Duplex): Pick<Dialed, 'remoteAddress' | 'remotePort' | 'remoteFamily'> => {
  const { remoteAddress = null, remotePort = null } = stream instanceof Socket ? stream : {}
  return { remoteAddress, remotePort, remoteFamily: ipFamily(remoteAddress ?? '') || null }
}
