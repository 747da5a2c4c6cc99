// Strategy: engines are worth keeping between messages, and expensive: up to 300 KiB of zlib's memory for one connection. So
// the whole process keeps a limited number of bytes of them, for those who use them: an engine that was not used for some
// seconds is closed, and its connection goes on from its history when it has something to say again. Who finds no room works
// with engines for one message. Where every message starts afresh (no context takeover), engines are handed from one to the
// next.
import type { ZlibOptions } from 'node:zlib'
import { canStep, Engine, type EngineKind } from './engine.js'

/** Memory for kept engines, all connections together: enough for some 170 that are busy in both directions. */
export const POOL_BYTES: number = 64 * 1024 * 1024
const SWEEP_MS = 5000

const engines = new Set<Engine>()
const idle = new Map<string, Engine[]>()
let bytes = 0
let timer: NodeJS.Timeout | null = null

/** How many engines are kept now, and what they take. */
export function poolUse(): { readonly engines: number; readonly bytes: number } {
  return { engines: engines.size, bytes }
}

/**
 * An engine to keep and to `step`; null when there is no room, or engines cannot step here.
 *
 * @param lent - it comes back by `giveBack` after the message, and need not be new.
 */
export function keepEngine(kind: EngineKind, options: ZlibOptions, lent: boolean): Engine | null {
  const engine = lent ? idle.get(keyOf(kind, options))?.pop() : undefined
  if (engine !== undefined) {
    engine.reset()
    return engine
  }
  if (bytes >= POOL_BYTES || !canStep()) return null
  const fresh = new Engine(kind, options)
  fresh.kept = true
  engines.add(fresh)
  bytes += fresh.bytes
  if (timer === null) {
    timer = setInterval(sweep, SWEEP_MS)
    timer.unref()
  }
  return fresh
}

/** Whether one more may be kept for a message that is not whole: those take half of the room at most. */
export function roomForParts(): boolean {
  let busy = 0
  for (const engine of engines) if (engine.busy) busy += engine.bytes
  return busy < POOL_BYTES / 2
}

/** Gives an engine back that was lent: nobody needs its history any more. */
export function giveBack(engine: Engine, options: ZlibOptions): void {
  const key = keyOf(engine.kind, options)
  const list = idle.get(key)
  if (list === undefined) idle.set(key, [engine])
  else list.push(engine)
}

/** Closes an engine, kept or not. */
export function dropEngine(engine: Engine): void {
  if (engines.delete(engine)) bytes -= engine.bytes
  if (!engine.closed) engine.close()
}

/** Closes what was not used since the last time. Exported for tests, which do not wait. */
export function sweep(): void {
  for (const engine of engines) {
    // One in the middle of a message cannot be made again from a history.
    if (engine.used || engine.busy) engine.used = false
    else dropEngine(engine)
  }
  for (const [key, list] of idle) {
    const open = list.filter(engine => !engine.closed)
    if (open.length > 0) idle.set(key, open)
    else idle.delete(key)
  }
  if (engines.size > 0 || timer === null) return
  clearInterval(timer)
  timer = null
}

function keyOf(kind: EngineKind, { windowBits, level, memLevel, strategy }: ZlibOptions): string {
  return `${kind} ${windowBits} ${level} ${memLevel} ${strategy}`
}
