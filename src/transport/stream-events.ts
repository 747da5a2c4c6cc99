import type { Duplex } from 'node:stream'
import { isOwned } from './stream-owner.js'

const ignore = (): void => {}

/**
 * Leaves one listener on `'error'` that does nothing, so that this stream can never crash the process, however late its
 * error comes. The listener stays for good. A stream with an owner has one already.
 */
export const swallowErrors = (stream: Duplex): void => {
  if (!isOwned(stream) && stream.listenerCount('error', ignore) === 0) stream.on('error', ignore)
}

/**
 * Destroys a stream that nobody will look at again.
 */
export const discard = (stream: Duplex): void => {
  swallowErrors(stream)
  stream.destroy()
}

/**
 * Waits for whichever comes first: the named event, `'error'` or `'close'`. All three listeners are gone when one of the
 * callbacks runs.
 *
 * @param failed - gets the error, or `undefined` for a stream that closed without one.
 * @returns a function that stops waiting; neither callback is called then.
 */
export const awaitEvent = (
  stream: Duplex,
  event: 'connect' | 'secureConnect',
  succeeded: () => void,
  failed: (cause: Error | undefined) => void,
): (() => void) => {
  const forget = (): void => {
    stream.off(event, onEvent).off('error', onError).off('close', onClose)
  }
  const onEvent = (): void => {
    forget()
    succeeded()
  }
  const onError = (error: Error): void => {
    forget()
    failed(error)
  }
  const onClose = (): void => {
    forget()
    failed(undefined)
  }
  swallowErrors(stream)
  stream.once(event, onEvent).once('error', onError).once('close', onClose)
  return forget
}

/** True for a stream that is open both ways and holds nothing. */
export const isQuiet = (stream: Duplex): boolean => {
  const { destroyed, readableEnded, writableEnded, writableLength, readableLength } = stream
  return !destroyed && !readableEnded && !writableEnded && writableLength + readableLength === 0
}
