import type { Duplex } from 'node:stream'
import { ConnectionError } from './connection-error.js'
import type { Negotiation } from './negotiation.js'
import { swallowErrors } from './stream-events.js'

/**
 * Asks a proxy for a tunnel on a stream that leads to it, as a step for `runPhase`. Afterwards the stream leads to the other
 * end: it has no listener but one that ignores errors, is not flowing, and what came behind the proxy's answer is the first
 * thing to be read from it. When the step fails or is given up, the stream is left to the caller, of no use to anybody.
 *
 * @param tunnel - what errors call the tunnel.
 */
export const startTunnel =
  (stream: Duplex, negotiation: Negotiation, tunnel: string) =>
  (resolve: (stream: Duplex) => void, reject: (error: unknown) => void): (() => void) => {
    let lastError: Error | undefined
    const forget = (): void => {
      stream.off('readable', onReadable).off('end', onEnd).off('error', onError).off('close', onEnd)
    }
    // Not 'data': only a stream that was read in this mode can be handed on as one that was never read from.
    const onReadable = (): void => {
      try {
        for (let chunk = read(stream); chunk !== null; chunk = read(stream)) {
          const { output, rest } = negotiation.receive(chunk)
          if (output.length > 0) stream.write(output)
          if (rest === null) continue
          forget()
          if (rest.length > 0) stream.unshift(rest)
          resolve(stream)
          return
        }
      } catch (error) {
        forget()
        reject(error)
      }
    }
    const onError = (error: Error): void => {
      lastError = error
    }
    const onEnd = (): void => {
      forget()
      const details = lastError === undefined ? {} : { cause: lastError }
      reject(
        negotiation.refusal ??
          new ConnectionError('WS_PROXY_FAILED', tunnel, { detail: 'ended', ...details }),
      )
    }
    swallowErrors(stream)
    stream.on('readable', onReadable).on('end', onEnd).on('error', onError).on('close', onEnd)
    if (stream.destroyed) process.nextTick(onEnd)
    else stream.write(negotiation.opening)
    return forget
  }

const read = (stream: Duplex): Uint8Array | null => stream.read() as Uint8Array | null
