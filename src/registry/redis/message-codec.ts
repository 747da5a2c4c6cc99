// Strategy: messages cross machines as JSON, in which bytes and `undefined` have a tagged form; `node:v8` would carry more, but
// must not read what others may have written. What would not arrive as it was sent is refused at the sender, before anything is
// delivered anywhere: a message that works as long as everybody is on one machine would fail on the day of the second.
import { inspect } from 'node:util'
import { RegistryError } from '../registry-error.js'

/** The key of a tagged form. An object that has it itself is wrapped. */
const TAG = '$'
const MAX_DEPTH = 200

/** What JSON can say. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/** A message in the form in which it travels. @throws RegistryError `WS_REGISTRY_BAD_MESSAGE`. */
export function encodeMessage(message: unknown, depth = 0): Json {
  if (message === null || typeof message === 'string' || typeof message === 'boolean') return message
  // Not -0, which JSON makes 0.
  if (typeof message === 'number' && Number.isFinite(message) && !Object.is(message, -0)) return message
  if (message === undefined) return { [TAG]: 'undefined' }
  if (typeof message !== 'object') throw badMessage(message)
  if (depth > MAX_DEPTH) throw badMessage(message, 'is nested too deeply, or in itself')
  if (message instanceof Uint8Array) {
    return {
      [TAG]: 'bytes',
      data: Buffer.from(message.buffer, message.byteOffset, message.length).toString('base64'),
    }
  }
  if (Array.isArray(message)) {
    // Not `map`, which leaves holes.
    return Array.from(message, (item: unknown) => encodeMessage(item, depth + 1))
  }
  const prototype: unknown = Object.getPrototypeOf(message)
  if (prototype !== Object.prototype && prototype !== null) throw badMessage(message)
  if (Object.getOwnPropertySymbols(message).length > 0) throw badMessage(message)
  const entries = Object.entries(message).map(
    ([key, value]) => [key, encodeMessage(value, depth + 1)] as const,
  )
  const object = Object.fromEntries(entries)
  return Object.hasOwn(object, TAG) ? { [TAG]: 'object', data: object } : object
}

/** The message that was sent. @throws Error for what no sender writes. */
export function decodeMessage(json: Json): unknown {
  if (typeof json !== 'object' || json === null) return json
  if (isList(json)) return json.map(decodeMessage)
  if (!Object.hasOwn(json, TAG)) return decodeObject(json)
  const { [TAG]: tag, data } = json
  if (tag === 'undefined') return undefined
  if (tag === 'bytes' && typeof data === 'string') return new Uint8Array(Buffer.from(data, 'base64'))
  if (tag === 'object' && typeof data === 'object' && data !== null && !isList(data))
    return decodeObject(data)
  throw new Error('a tagged form of no kind')
}

function decodeObject(json: { readonly [key: string]: Json }): unknown {
  // `fromEntries` makes properties of its own, of `__proto__` too.
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, decodeMessage(value)]))
}

const isList = (json: object): json is readonly Json[] => Array.isArray(json)

function badMessage(message: unknown, what = 'cannot be carried to another machine'): RegistryError {
  const shown = inspect(message, { depth: 0, breakLength: Infinity, maxStringLength: 40 })
  return new RegistryError(
    'WS_REGISTRY_BAD_MESSAGE',
    `${shown} ${what}: a message is made of what JSON can say, bytes (Uint8Array) and undefined`,
  )
}
