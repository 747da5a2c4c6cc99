import { FrameEncodeError } from '../behaviour/frame-encode-error.js'
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

/** Writes a message to the connections of processes. @returns how many there were. */
export function writeToAll(processes: Iterable<NamedProcess>, message: PreparedMessage): number {
  let recipients = 0
  for (const process of processes) {
    if (process.phase !== 'open') continue
    try {
      process.write(message)
      recipients++
    } catch (error) {
      // One that is in the middle of a fragmented message cannot take another.
      if (!(error instanceof FrameEncodeError)) throw error
    }
  }
  return recipients
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
