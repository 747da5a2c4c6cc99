// Strategy: the events that speak of URLs and headers are rare, so each is looked through, and copied where something had to
// be hidden. The frequent ones have nothing to hide but the user's own payload, and pass as they are.
import type { HeaderList } from '../handshake/index.js'
import type { DisconnectStatus } from './disconnect-status.js'
import type { EndReason } from './end-reason.js'
import type { ProcessEvent } from './process-event.js'
import { maskHeaders, maskSubprotocols, maskText, maskUrl } from './secrets.js'

/** The same event without secrets in URLs, headers and refused responses. */
export function maskEvent(event: ProcessEvent): ProcessEvent {
  switch (event.type) {
    case 'request':
    case 'response':
      return { ...event, url: maskUrl(event.url), headers: maskHeaders(event.headers) }
    case 'redirect':
      return { ...event, from: maskUrl(event.from), to: maskUrl(event.to) }
    case 'attempt':
      return { ...event, url: maskUrl(event.url) }
    case 'open':
      return { ...event, url: maskUrl(event.url), subprotocol: maskSubprotocols(event.subprotocol) }
    case 'proxy':
      return { ...event, proxy: maskUrl(event.proxy) }
    case 'disconnect':
      return { ...event, status: maskStatus(event.status) }
    case 'callback-error':
      return { ...event, error: maskError(event.error) }
    case 'terminate':
      return { ...event, reason: maskReason(event.reason) }
    default:
      return event
  }
}

function maskStatus(status: DisconnectStatus): DisconnectStatus {
  const { target, httpResponse, error } = status
  return {
    ...status,
    target: maskUrl(target),
    httpResponse: httpResponse === null ? null : maskOwnHeaders(httpResponse),
    error: error === null ? null : maskError(error),
  }
}

function maskReason(reason: EndReason): EndReason {
  const { error, value } = reason
  return {
    ...reason,
    error: error === null ? null : maskError(error),
    value: value instanceof Error ? maskError(value) : value,
  }
}

/** How many causes of an error are looked at. */
const CAUSES = 8

/**
 * An error is copied when it, or one of its causes, has a response whose headers hold a secret, or says one in its message.
 * The copy has the same prototype, so that `instanceof` holds. Any other error is returned as it is.
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
  // The stack begins with the message. It is no ordinary property everywhere, so it is said anew.
  changed['stack'] = {
    value: stack?.replaceAll(message, () => shown),
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
