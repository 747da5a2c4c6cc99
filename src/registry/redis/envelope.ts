// What nodes write to each other. Others may write to the same channel, so everything is looked at before it is used.
import { decodeMessage, type Json } from './message-codec.js'

/** What a remote process is asked to do. */
export type Operation = 'info' | 'cast' | 'call' | 'send' | 'stop' | 'connect'
const OPERATIONS: ReadonlySet<unknown> = new Set<Operation>([
  'info',
  'cast',
  'call',
  'send',
  'stop',
  'connect',
])

/** What is to be delivered, without its sender. */
export type Body =
  | { readonly type: 'publish'; readonly to: string; readonly message: Json }
  | { readonly type: 'broadcast'; readonly to: string; readonly message: Json; readonly compress?: boolean }
  | { readonly type: 'ask'; readonly to: string; readonly operation: Operation; readonly message: Json }

/** What became of it. */
export interface Reply {
  readonly type: 'reply'
  /** To how many it was handed. */
  readonly count: number
  /** What was answered. */
  readonly value?: Json
  /** What was thrown. */
  readonly error?: { readonly name: string; readonly message: string; readonly code: string | null }
}

/** In place of a reply that did not come in time. */
export const SILENCE: Reply = { type: 'reply', count: 0 }

/** A body or reply, by whom, and which of theirs it is; of a reply, which one is replied to. */
export type Envelope = (Body | Reply) & { readonly from: string; readonly id: number }

/** @returns null for what no node writes. */
export function parseEnvelope(text: string): Envelope | null {
  let it: Record<string, unknown> | null
  try {
    it = JSON.parse(text) as Record<string, unknown> | null
    if (typeof it !== 'object' || it === null || typeof it['from'] !== 'string' || !isCount(it['id']))
      return null
    if (it['type'] === 'reply') return isCount(it['count']) && isError(it['error']) ? (it as never) : null
    if (typeof it['to'] !== 'string' || !('message' in it)) return null
    decodeMessage(it['message'] as Json)
  } catch {
    return null
  }
  if (it['type'] === 'publish') return it as never
  if (it['type'] === 'broadcast') return isOptional('boolean', it['compress']) ? (it as never) : null
  return it['type'] === 'ask' && OPERATIONS.has(it['operation']) ? (it as never) : null
}

const isOptional = (type: string, value: unknown): boolean => value === undefined || typeof value === type
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0

function isError(value: unknown): boolean {
  if (value === undefined) return true
  if (typeof value !== 'object' || value === null) return false
  const { name, message, code } = value as Record<string, unknown>
  return (
    typeof name === 'string' && typeof message === 'string' && (code === null || typeof code === 'string')
  )
}
