import type { Duplex } from 'node:stream'

const ignore = (): void => {}

/**
 * Leaves one listener on `'error'` that does nothing, so that this stream can never crash the process, however late its
 * error comes. The listener stays for good.
 */
export const swallowErrors = (stream: Duplex): void => {
  if (!stream.listeners('error').includes(ignore)) stream.on('error', ignore)
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
