import type { EndReason } from '../../behaviour/end-reason.js'
import type { Reply } from './envelope.js'
import { decodeMessage, encodeMessage, type Json } from './message-codec.js'

/** An error as it travels. */
export type PlainError = NonNullable<Reply['error']>

/** What is said of an error elsewhere. */
export function plainError(error: unknown): PlainError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), code: null }
  const { code } = error as { readonly code?: unknown }
  return { name: error.name, message: error.message, code: typeof code === 'string' ? code : null }
}

/** An error that was thrown elsewhere: the same name, message and code, of no particular class. */
export function revivedError({ name, message, code }: PlainError): Error {
  return Object.assign(new Error(message), { name }, code === null ? {} : { code })
}

/** How a process ended, as it travels: without frames, and with a value only where it can be carried. */
export function plainReason({ type, normal, code, text, error, value }: EndReason): Json {
  let carried: Json
  try {
    carried = encodeMessage(value)
  } catch {
    carried = encodeMessage(undefined)
  }
  return { type, normal, code, text, error: error === null ? null : { ...plainError(error) }, value: carried }
}

/** How a process elsewhere ended. */
export function revivedReason(json: Json): EndReason {
  const it = json as unknown as Omit<EndReason, 'error' | 'value'> & { error: PlainError | null; value: Json }
  const error = it.error === null ? null : revivedError(it.error)
  return { ...it, error, value: decodeMessage(it.value), unsent: [] }
}
