import type { NamedProcess } from '../behaviour/process-ref.js'
import { PreparedMessage } from '../protocol/index.js'
import { RegistryError } from './registry-error.js'
import type { Broadcast } from './registry.js'

/** A whole message, prepared for many. @throws RegistryError `WS_REGISTRY_BAD_MESSAGE`. */
export function prepare(message: Broadcast): PreparedMessage {
  if (message instanceof PreparedMessage) return message
  if (typeof message === 'string' || ArrayBuffer.isView(message) || message instanceof ArrayBuffer) {
    return new PreparedMessage(message)
  }
  const { data, compress } = message as { data: string | Uint8Array; compress?: boolean }
  if (typeof data === 'string' || ArrayBuffer.isView(data) || (data as unknown) instanceof ArrayBuffer) {
    return new PreparedMessage(data, { compress })
  }
  throw new RegistryError('WS_REGISTRY_BAD_MESSAGE', 'a broadcast is a text or bytes, in one piece')
}

/** Hands a message to the callbacks of processes. @returns how many there were. */
export function tellAll(processes: Iterable<NamedProcess>, message: unknown): number {
  let recipients = 0
  // A snapshot: what is told may join and leave.
  for (const process of Array.from(processes)) {
    // One that has ended takes nothing any more.
    if (process.phase === 'ended') continue
    process.info(message)
    recipients++
  }
  return recipients
}
