// Strategy: `ws` decides while it is loaded whether it uses its native add-ons. So it is loaded twice into this
// process, each time with an empty module cache: once as it comes, once with the two environment variables it
// documents for switching them off. Both copies have compiled code of their own and can be interleaved. Which
// add-on is really in use is not believed but watched: the add-on's function is replaced by a counting one for a
// moment while `ws` masks 256 bytes.
import * as buffer from 'node:buffer'
import type { EventEmitter } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as http from 'node:http'
import type { Writable } from 'node:stream'

// From `build/bench/` back to the folder that has the dependencies.
const require = createRequire(fileURLToPath(new URL('../../bench/package.json', import.meta.url)))

/** 100 MiB, 16 Ki and 256 Ki: what `ws` gives its receiver when nobody configures anything. */
export const receiverDefaults = {
  maxPayload: 100 * 1024 * 1024,
  maxFragments: 16 * 1024,
  maxBufferedChunks: 256 * 1024,
  allowSynchronousEvents: true,
} as const

export type Mask = (source: Buffer, mask: Buffer, output: Buffer, offset: number, length: number) => void
export type Unmask = (buffer: Buffer, mask: Buffer) => void

export interface BufferUtil {
  mask: Mask
  unmask: Unmask
}

export interface WsReceiver extends Writable {
  on(event: 'message', listener: (data: Buffer, isBinary: boolean) => void): this
  on(event: string, listener: (...args: never[]) => void): this
}

/** The part of a socket that `ws`'s sender touches. */
export interface SenderSocket {
  cork(): void
  uncork(): void
  write(data: Buffer | string, callback?: () => void): boolean
}

export interface WsSender {
  send(
    data: Buffer | string,
    options: { binary: boolean; compress: boolean; fin: boolean; mask: boolean },
    callback?: () => void,
  ): void
}

/** The part of `ws`'s client that is used. */
export interface WsSocket extends EventEmitter {
  /** What was agreed on, the names only. */
  readonly extensions: string
  send(data: string, options?: { readonly compress: boolean }): void
  /** @param sent - called when the operating system has it. */
  send(data: string, sent: () => void): void
  terminate(): void
  on(event: 'message', listener: (data: Buffer, isBinary: boolean) => void): this
  on(event: string, listener: (...args: never[]) => void): this
}

export interface Ws {
  readonly version: string
  /** What masks large payloads in this copy, in words. */
  readonly masking: string
  /** What checks UTF-8 in this copy, in words. */
  readonly utf8: string
  readonly bufferUtil: BufferUtil
  readonly isValidUTF8: (bytes: Buffer) => boolean
  readonly Receiver: new (options: typeof receiverDefaults & { isServer: boolean }) => WsReceiver
  readonly Sender: new (socket: SenderSocket) => WsSender
  readonly WebSocket: new (
    url: string,
    options: { readonly perMessageDeflate: { readonly threshold: number } },
  ) => WsSocket
}

export interface Peers {
  /** `ws` with `bufferutil` and `utf-8-validate` installed. */
  readonly native: Ws
  /** `ws` alone. */
  readonly plain: Ws
  readonly bufferutil: BufferUtil
  readonly utf8Validate: (bytes: Buffer) => boolean
}

const switches = ['WS_NO_BUFFER_UTIL', 'WS_NO_UTF_8_VALIDATE'] as const

function isNative(callable: object): boolean {
  return Function.prototype.toString.call(callable).includes('[native code]')
}

function assign(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name]
  else process.env[name] = value
}

/** Runs `use` with the two switches set or unset, and puts the environment back. */
function withSwitches<T>(value: string | undefined, use: () => T): T {
  const before = switches.map(name => process.env[name])
  for (const name of switches) assign(name, value)
  try {
    return use()
  } finally {
    switches.forEach((name, index) => assign(name, before[index]))
  }
}

/** Whether unmasking through `util` ends up in the add-on: its function is watched for one call. */
function reaches(util: BufferUtil, addOn: BufferUtil): boolean {
  const real = addOn.unmask
  let reached = false
  addOn.unmask = (bytes, key) => {
    reached = true
    real(bytes, key)
  }
  util.unmask(Buffer.alloc(256), Buffer.from([1, 2, 3, 4]))
  addOn.unmask = real
  return reached
}

function loadWs(addOns: boolean, addOn: BufferUtil): Ws {
  const folder = dirname(require.resolve('ws/package.json'))
  for (const path of Object.keys(require.cache)) if (path.startsWith(folder + sep)) delete require.cache[path]
  const load = (name: string): unknown => require(join(folder, name))
  return withSwitches(addOns ? undefined : '1', () => {
    const bufferUtil = load('lib/buffer-util.js') as BufferUtil
    let masking = 'JavaScript loop'
    if (reaches(bufferUtil, addOn)) masking = 'bufferutil (native)'
    // Newer Node masks by itself, and then ws leaves its add-on alone.
    else if ('websocketUnmask' in http) masking = "Node's own http.websocketUnmask"
    let utf8 = addOns ? 'utf-8-validate (native)' : 'JavaScript loop'
    // ws asks for its add-on only where Node has nothing of its own.
    if ('isUtf8' in buffer) utf8 = "Node's own buffer.isUtf8"
    return {
      version: (load('package.json') as { version: string }).version,
      masking,
      utf8,
      bufferUtil,
      isValidUTF8: (load('lib/validation.js') as { isValidUTF8: (bytes: Buffer) => boolean }).isValidUTF8,
      Receiver: load('lib/receiver.js') as Ws['Receiver'],
      Sender: load('lib/sender.js') as Ws['Sender'],
      WebSocket: load('lib/websocket.js') as Ws['WebSocket'],
    }
  })
}

/** The part of `ws`'s server that is used. */
export interface WsServer extends EventEmitter {
  readonly clients: ReadonlySet<WsSocket>
  address(): unknown
}

/** `ws`'s server, loaded once, as it comes. */
export function wsServer(options: object): WsServer {
  const { WebSocketServer } = require('ws') as { WebSocketServer: new (options: object) => WsServer }
  return new WebSocketServer(options)
}

/** Loads everybody; throws when an add-on is only its JavaScript fallback, since a ratio to that would flatter us. */
export function loadPeers(): Peers {
  const bufferutil = require('bufferutil') as BufferUtil
  const utf8Validate = require('utf-8-validate') as Peers['utf8Validate']
  for (const [name, callable] of Object.entries({
    bufferutil: bufferutil.mask,
    'utf-8-validate': utf8Validate,
  })) {
    if (!isNative(callable))
      throw new Error(`${name} has no native build here, so there is nothing fair to compare with`)
  }
  return { native: loadWs(true, bufferutil), plain: loadWs(false, bufferutil), bufferutil, utf8Validate }
}
