import { inspect } from 'node:util'
import { word } from './printable.js'
import { maskText } from './secrets.js'

/** How much of a primitive, or of the name of a key, is shown, in characters. */
const SHOWN = 40
/** How many keys are shown. */
const SHOWN_KEYS = 10

/** A callback answered something that is no result. WebSockex: `BadResponseError`. */
export class BadResponseError extends Error {
  override readonly name = 'BadResponseError'
  /** Stable, unlike the message. */
  readonly code = 'WS_BAD_RESPONSE'
  /** The callback, such as `handleFrame`. */
  readonly callback: string
  /** What it answered. The message shows no more of an object than its keys: messages are logged, and a state is private. */
  readonly response: unknown

  /** @param why - what is wrong with the answer, after a colon in the message. */
  constructor(callback: string, response: unknown, why: string, options?: ErrorOptions) {
    super(`${callback} answered ${shapeOf(response)}: ${maskText(why)}`, options)
    this.callback = callback
    this.response = response
  }
}

/** A primitive as it is, an object by its keys: `{ state, repply }`, with its class where it has one: `Promise {}`. */
function shapeOf(value: unknown): string {
  if (typeof value === 'string') return inspect(maskText(value), { maxStringLength: SHOWN })
  if (typeof value === 'function') return '[Function]'
  if (Array.isArray(value)) return '[Array]'
  if (typeof value !== 'object' || value === null) return cut(inspect(value))
  const keys = Object.keys(value)
  const shown = keys.slice(0, SHOWN_KEYS).map(key => word(key, SHOWN))
  if (keys.length > SHOWN_KEYS) shown.push('…')
  return `${classOf(value)}${shown.length === 0 ? '{}' : `{ ${shown.join(', ')} }`}`
}

/** The name of its class and a blank; nothing for a plain object. */
function classOf(value: object): string {
  const { constructor } = (Object.getPrototypeOf(value) ?? {}) as { readonly constructor?: unknown }
  const name = typeof constructor === 'function' ? constructor.name : 'Object'
  return name === 'Object' ? '' : `${word(name, SHOWN)} `
}

const cut = (text: string): string => (text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}…`)
