// Strategy: the events that speak of URLs and headers are rare, so each is looked through, and copied where something had to
// be hidden. The frequent ones have nothing to hide but the user's own payload, and pass as they are. Errors come from
// anywhere, and reading one may throw (a getter, a proxy, `Error.prepareStackTrace`): then all that could be secret is
// hidden, so that an event costs nobody their process, and what is published is complete in its form.
import type { HeaderList } from '../handshake/index.js'
import type { ProcessEvent } from './process-event.js'
import { MASK, maskHeaders, maskSubprotocols, maskText, maskUrl } from './secrets.js'

/** What is done with each kind of field. */
interface Masks {
  readonly url: (url: string) => string
  readonly headers: (headers: HeaderList) => HeaderList
  readonly subprotocols: (list: string) => string
  readonly error: (error: Error) => Error
  readonly value: (value: unknown) => unknown
}

const SECRETS: Masks = {
  url: maskUrl,
  headers: maskHeaders,
  subprotocols: maskSubprotocols,
  error: error => maskError(error),
  value: value => (value instanceof Error ? maskError(value) : value),
}

const EVERYTHING: Masks = {
  url: () => MASK,
  headers: () => [],
  subprotocols: () => MASK,
  error: () => new Error('an error that cannot be shown'),
  value: () => MASK,
}

/** The same event without secrets in URLs, headers and refused responses; without any of them when that fails. Never throws. */
export function maskEvent(event: ProcessEvent): ProcessEvent {
  try {
    return maskWith(SECRETS, event)
  } catch {
    return maskWith(EVERYTHING, event)
  }
}

function maskWith({ url, headers, subprotocols, error, value }: Masks, event: ProcessEvent): ProcessEvent {
  switch (event.type) {
    case 'request':
    case 'response':
      return { ...event, url: url(event.url), headers: headers(event.headers) }
    case 'redirect':
      return { ...event, from: url(event.from), to: url(event.to) }
    case 'attempt':
      return { ...event, url: url(event.url) }
    case 'open':
      return { ...event, url: url(event.url), subprotocol: subprotocols(event.subprotocol) }
    case 'proxy':
      return { ...event, proxy: url(event.proxy) }
    case 'disconnect': {
      const { status } = event
      const { target, httpResponse, error: lost } = status
      return {
        ...event,
        status: {
          ...status,
          target: url(target),
          httpResponse:
            httpResponse === null ? null : { ...httpResponse, headers: headers(httpResponse.headers) },
          error: lost === null ? null : error(lost),
        },
      }
    }
    case 'callback-error':
      return { ...event, error: error(event.error) }
    case 'terminate': {
      const { reason } = event
      return {
        ...event,
        reason: {
          ...reason,
          error: reason.error === null ? null : error(reason.error),
          value: value(reason.value),
        },
      }
    }
    default:
      return event
  }
}

/** How many causes of an error are looked at. */
const CAUSES = 8

/**
 * An error is copied when it, or one of its causes, has a response whose headers hold a secret, or says one in its message.
 * The copy has the same prototype, so that `instanceof` holds. Any other error is returned as it is.
 *
 * @throws what reading the error throws.
 */
export function maskError(error: Error, depth: number = CAUSES): Error {
  if (depth === 0) return error
  const own = Object.getOwnPropertyDescriptors(error) as Record<string, PropertyDescriptor | undefined>
  const changed: Record<string, PropertyDescriptor> = {}
  const change = (name: string, mask: (value: unknown) => unknown): void => {
    const property = own[name]
    if (property === undefined || !('value' in property)) return
    const value = mask(property.value)
    if (value !== property.value) changed[name] = { ...property, value }
  }
  change('headers', value => (isHeaderList(value) ? maskHeaders(value) : value))
  change('response', value => (hasHeaders(value) ? maskOwnHeaders(value) : value))
  change('cause', value => (value instanceof Error ? maskError(value, depth - 1) : value))
  change('message', value => (typeof value === 'string' ? maskText(value) : value))
  if (Object.keys(changed).length === 0) return error
  const { message, stack } = error
  const shown = (changed['message']?.value ?? message) as string
  // The stack begins with the message. It is no ordinary property everywhere, so it is said anew. `Error.prepareStackTrace`
  // may make anything of it, of which nobody can tell what it shows.
  changed['stack'] = {
    value: typeof stack === 'string' ? stack.replaceAll(message, () => shown) : `${error.name}: ${shown}`,
    writable: true,
    configurable: true,
    enumerable: false,
  }
  const prototype = Object.getPrototypeOf(error) as object
  return Object.create(prototype, { ...own, ...changed } as PropertyDescriptorMap) as Error
}

function maskOwnHeaders<T extends { readonly headers: HeaderList }>(response: T): T {
  const headers = maskHeaders(response.headers)
  return headers === response.headers ? response : { ...response, headers }
}

function hasHeaders(value: unknown): value is { readonly headers: HeaderList } {
  return typeof value === 'object' && value !== null && 'headers' in value && isHeaderList(value.headers)
}

function isHeaderList(value: unknown): value is HeaderList {
  return (
    Array.isArray(value) &&
    value.every(pair => Array.isArray(pair) && pair.every(one => typeof one === 'string'))
  )
}
