import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { ConnectionError } from './connection-error.js'
import type { ConnectionFactory } from './dial-options.js'
import { awaitEvent, discard, swallowErrors } from './stream-events.js'
import { peerName, type Target } from './target.js'

/**
 * Gets a stream from the user's factory and waits until it is connected, as a step for `runPhase`. Given up, it aborts the
 * factory's signal, and destroys the stream however late it comes.
 */
export const startOwnConnection =
  (target: Target, createConnection: ConnectionFactory) =>
  (resolve: (stream: Duplex) => void, reject: (error: ConnectionError) => void): (() => void) => {
    const controller = new AbortController()
    let dispose: (() => void) | undefined
    const fail = (cause: unknown): void => {
      // A factory that dials by itself (through a proxy, say) knows better than we do what went wrong.
      if (cause instanceof ConnectionError) reject(cause)
      else
        reject(
          new ConnectionError('WS_CONNECT_FAILED', peerName(target), cause === undefined ? {} : { cause }),
        )
    }
    const take = (stream: Duplex): void => {
      if (controller.signal.aborted) {
        discard(stream)
        return
      }
      swallowErrors(stream)
      if (stream.destroyed) {
        fail(stream.errored ?? undefined)
        return
      }
      if (!(stream instanceof Socket && stream.connecting)) {
        resolve(stream)
        return
      }
      const forget = awaitEvent(
        stream,
        'connect',
        () => resolve(stream),
        cause => {
          discard(stream)
          fail(cause)
        },
      )
      dispose = () => {
        forget()
        discard(stream)
      }
    }
    void (async () => createConnection(target, controller.signal))().then(take).catch(fail)
    return () => {
      controller.abort()
      dispose?.()
    }
  }
