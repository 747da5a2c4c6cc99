// Strategy: for each read Node makes 64 KiB of fresh memory, whose cold pages cost more than all that is done with a text that came
// in them. Our sockets read into the same warm memory each time, and all of them share it: what came is looked at before the next
// read, and what has to last is copied. Where much of it has to last, as with larger binary messages, a copy is one too many: then, as
// long as reads fill their memory, the next one gets fresh memory, which belongs to whoever it is handed to. A long message is read to
// where it stays.
//
// Only Node's own sockets, without TLS, can do so. Those that we connect are told by `onread`, from their beginning. For those that a server
// accepts there is no such option; they are told in the place where Node keeps what the option said, which is found out by looking
// where sockets have it that were given one. Where that is not to be found they read as ever.
//
// Node asks for the memory of the next read behind each `callback`, and tells the part of it that is not JavaScript when all ticks
// are done that came of the read. If one of them throws, and the program goes on, the two no longer agree, and bytes would come where a
// message lies that was delivered. So whoever has just changed its memory is told once more when something was thrown.
import { type NetConnectOpts, type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net'
import type { Duplex } from 'node:stream'
import { type NextRead, read } from './stream-owner.js'
import { throwLater } from './throw-later.js'

const READ_BYTES = 64 * 1024
/** Less than this is copied where it has to last: its memory would be mostly empty, and be kept. */
const MUCH_BYTES = 16 * 1024
/** Others know the option, and of what they make of it little is known. */
const IS_NODE = !('bun' in process.versions) && !('deno' in process.versions)

const LENDING: unique symbol = Symbol('lending')

/** A socket that lends what it reads, and what it reads into since that was changed last. */
type Lending = Socket & { [LENDING]: Change | null }

/** What has no public name. Without it the connection is as it is with other streams. */
interface Native {
  readonly _handle?: { readonly useUserBuffer?: (memory: Uint8Array) => void } | null
}

interface Change {
  readonly socket: WeakRef<Lending>
  memory: Uint8Array
}

const fresh = (): Uint8Array => Buffer.allocUnsafeSlow(READ_BYTES)

let shared: Uint8Array | null = null
/** What the socket that is asking reads into next; undefined for what it has read into. */
let next: Uint8Array | undefined
/** The last change, as long as nobody has read since. */
let changed: Change | null = null
let isWatching = false

/** Node asks once for each socket, and behind each `callback`. */
function buffer(): Uint8Array {
  const memory = next
  next = shared ??= fresh()
  // It may be told so, which its type does not say.
  return memory as Uint8Array
}

function callback(this: Lending, bytes: number, memory: Uint8Array): boolean {
  changed = null
  let wanted: NextRead = 'lent'
  try {
    wanted = read(this, memory, bytes, memory === shared || bytes < MUCH_BYTES)
  } catch (error) {
    throwLater(error)
  }
  if (typeof wanted !== 'string') next = wanted
  // What a read does not fill was the last of it for now, and memory that waits for the next read is no use to anybody.
  else if (wanted === 'own' && bytes === memory.length) next = fresh()
  else next = memory === shared ? undefined : shared!
  if (next !== undefined) noteChange(this, next)
  return true
}

const onread = { buffer, callback } as OnReadOpts

function noteChange(socket: Lending, memory: Uint8Array): void {
  const change = (socket[LENDING] ??= { socket: new WeakRef(socket), memory })
  change.memory = memory
  changed = change
  if (isWatching) return
  isWatching = true
  // It is only told; nobody's error is handled here.
  process.on('uncaughtExceptionMonitor', tellAgain)
}

function tellAgain(): void {
  const change = changed
  changed = null
  const socket = change?.socket.deref()
  if (socket === undefined || socket.destroyed) return
  // There is no public way. Without this one the connection is lost, which is better than wrong bytes.
  const { _handle: handle } = socket as Native
  if (typeof handle?.useUserBuffer === 'function') handle.useUserBuffer(change!.memory)
  else socket.destroy()
}

/**
 * Connects with such a socket where there can be one. It is paused until it has an owner who resumes it; nobody else gets to
 * know what comes.
 *
 * @param connect - Node's own.
 */
export function connectLending(
  connect: (options: NetConnectOpts) => Socket,
): (options: NetConnectOpts) => Socket {
  if (!IS_NODE) return connect
  next = shared ??= fresh()
  return target => {
    // Nobody else has the object.
    const socket = connect(Object.assign(target, { onread })).pause() as Lending
    socket[LENDING] = null
    return socket
  }
}

/** True for a socket that lends what it reads: it tells of that in ticks of their own, so it may change hands unpaused. */
export const isLending = (stream: Duplex): boolean => LENDING in stream

/** Where sockets keep the three things that `onread` says. */
interface Places {
  readonly memory: symbol
  readonly buffer: symbol
  readonly callback: symbol
}

/** Where a socket has this, if that is one place, and one that is empty in others. */
function placeOf(socket: Socket, value: unknown, plain: Socket): symbol | null {
  const places = Object.getOwnPropertySymbols(socket).filter(one => Reflect.get(socket, one) === value)
  return places.length === 1 && Reflect.get(plain, places[0]) === null ? places[0] : null
}

function findPlaces(): Places | null {
  try {
    return IS_NODE ? lookForPlaces() : null
  } catch {
    // The options are others, or the places are.
    return null
  }
}

function lookForPlaces(): Places | null {
  const withOptions = (given: unknown): Socket =>
    new Socket({ onread: { buffer: given, callback } } as SocketConstructorOpts)
  const mine = new Uint8Array(1)
  const plain = new Socket()
  const asking = withOptions(fresh)
  const memory = placeOf(withOptions(mine), mine, plain)
  const generator = placeOf(asking, fresh, plain)
  const called = placeOf(asking, callback, plain)
  return memory === null || generator === null || called === null
    ? null
    : { memory, buffer: generator, callback: called }
}

let places: Places | null | undefined

/** Whoever has said so much is worth the trouble. */
const LEND_FROM_BYTES = 1024

/**
 * Lets a socket that is connected, and was made without us, read in this way from now on, where it can: one of Node's own of which
 * nothing is held back, and to which nobody but its owner listens.
 *
 * @param bytesReceived - how much has come on it.
 */
export function lendReads(stream: Duplex, bytesReceived: number): void {
  if (bytesReceived < LEND_FROM_BYTES) return
  const isNative: boolean = stream.constructor === Socket
  if (!isNative || isLending(stream) || stream.readableLength > 0) return
  // One that was paused before it lent would go on reading, and what it reads would not be held back.
  if (stream.destroyed || stream.readableEnded || stream.isPaused() || stream.listenerCount('data') > 1)
    return
  if (places === undefined) places = findPlaces()
  const { _handle: handle } = stream as Native
  if (places === null || typeof handle?.useUserBuffer !== 'function') return
  shared ??= fresh()
  Object.assign(stream, { [places.buffer]: buffer, [places.callback]: callback, [places.memory]: shared })
  ;(stream as Lending)[LENDING] = null
  handle.useUserBuffer(shared)
}
