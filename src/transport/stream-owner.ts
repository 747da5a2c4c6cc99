// Strategy: a stream has one owner at a time: who reads the head of the handshake, then the wire, and the record of a connection
// at rest. The listeners are the same functions for all streams and stay as long as the stream; what changes hands is one
// pointer. So nothing of a connection is a closure, and Node never has to take a listener out of its table, which would turn
// that into a slow and large one.
import type { Duplex } from 'node:stream'

/**
 * What the next bytes had better be read into: memory that is `lent`; memory that will be the reader's `own`, since much of what
 * came had to last; or this.
 */
export type NextRead = 'lent' | 'own' | Uint8Array

/** Who is told what a stream does. */
export interface StreamOwner {
  /** Bytes came; they are the owner's. */
  received(chunk: Uint8Array): void
  /**
   * So many bytes came in this memory. When it was `lent` it will be written over when this returns. Who has no such method
   * is given a copy.
   */
  read?(memory: Uint8Array, bytes: number, lent: boolean): NextRead
  /** It leads somewhere now. Who has no such method takes over streams that do. */
  connected?(): void
  /** The other side has ended its own. */
  ended(): void
  failed(error: Error): void
  /** The stream is gone. */
  closed(): void
  /** It takes more bytes again. */
  drained(): void
}

const OWNER: unique symbol = Symbol('owner')

type Owned = Duplex & { [OWNER]: StreamOwner | null }

const ignore = (): void => {}
const nobody: StreamOwner = closing(ignore)

/** An owner that only wants to know that the stream is gone. */
export function closing(closed: () => void): StreamOwner {
  return { received: ignore, ended: ignore, failed: ignore, closed, drained: ignore }
}

/** From now on `owner` is told, and nobody else who was. The first owner makes the stream flow, unless it was paused. */
export function own(stream: Duplex, owner: StreamOwner): void {
  const isNew = !isOwned(stream)
  ;(stream as Owned)[OWNER] = owner
  if (!isNew) return
  stream.on('error', onError).on('close', onClose).on('end', onEnd).on('drain', onDrain).on('data', onData)
  if (owner.connected !== undefined) stream.on('connect', onConnect)
}

/** Nobody is told any more. An error still ends no program. */
export function disown(stream: Duplex): void {
  own(stream, nobody)
}

/** The stream is closed: none of our listeners is left. */
export function release(stream: Duplex): void {
  if (!isOwned(stream)) return
  stream[OWNER] = null
  stream
    .off('error', onError)
    .off('close', onClose)
    .off('end', onEnd)
    .off('drain', onDrain)
    .off('data', onData)
    .off('connect', onConnect)
}

/** True for a stream that has an owner, if nobody in particular. */
export function isOwned(stream: Duplex): stream is Owned {
  return OWNER in stream && stream[OWNER] !== null
}

/** Who is told now. */
export function ownerOf(stream: Duplex): StreamOwner {
  return isOwned(stream) ? stream[OWNER]! : nobody
}

/** Tells the owner of bytes, see `StreamOwner.read`. */
export function read(stream: Duplex, memory: Uint8Array, bytes: number, lent: boolean): NextRead {
  const owner = ownerOf(stream)
  if (owner.read !== undefined) return owner.read(memory, bytes, lent)
  const chunk = memory.subarray(0, bytes)
  owner.received(lent ? Buffer.from(chunk) : chunk)
  return 'lent'
}

// A listener before ours may have brought about that there is no owner any more.
function onData(this: Owned, chunk: Uint8Array): void {
  this[OWNER]?.received(chunk)
}

function onConnect(this: Owned): void {
  this[OWNER]?.connected?.()
}

function onEnd(this: Owned): void {
  this[OWNER]?.ended()
}

function onError(this: Owned, error: Error): void {
  this[OWNER]?.failed(error)
}

function onClose(this: Owned): void {
  this[OWNER]?.closed()
}

function onDrain(this: Owned): void {
  this[OWNER]?.drained()
}
