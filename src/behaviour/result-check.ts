// Strategy: a result is looked at whole before any of it takes effect, so that a bad one changes nothing. The common
// result has one or two keys; the check is one loop over them.
import { requireOptions } from '../transport/dial-options.js'
import { BadResponseError } from './bad-response-error.js'
import { type CheckedFrame, checkFrame, type Frame } from './frame.js'
import { resolveKeepalive } from './keepalive.js'
import type { CallResult, CloseWish, DisconnectResult } from './result.js'

const KEYS: Readonly<Record<string, true>> = {
  state: true,
  reply: true,
  close: true,
  stop: true,
  keepalive: true,
  flow: true,
}
const CALL_KEYS: Readonly<Record<string, true>> = { ...KEYS, answer: true }
const DISCONNECT_KEYS: Readonly<Record<string, true>> = {
  state: true,
  stop: true,
  stay: true,
  reconnect: true,
}
const RECONNECT_KEYS: Readonly<Record<string, true>> = { delayMs: true, target: true }
const CLOSE_KEYS: Readonly<Record<string, true>> = { code: true, reason: true }
const NO_FRAMES: readonly CheckedFrame[] = []

/** The frames of a checked result. */
export function requireResult(callback: string, result: unknown): readonly CheckedFrame[] {
  requireKeys(callback, result, callback === 'handleCall' ? CALL_KEYS : KEYS)
  const { reply, close, keepalive, flow } = result as CallResult<unknown, unknown>
  let frames = NO_FRAMES
  try {
    if (reply !== undefined) frames = checkFrames(reply)
    if (close !== undefined) checkFrame(closeFrame(close))
    if (keepalive !== undefined) resolveKeepalive(keepalive)
  } catch (cause) {
    throw new BadResponseError(callback, result, (cause as Error).message, { cause })
  }
  if (flow !== undefined && !(typeof flow === 'number' && flow >= 0)) {
    throw new BadResponseError(callback, result, 'flow must be a number of credits')
  }
  return frames
}

/** Checks what `handleDisconnect` answered. */
export function requireDisconnectResult(result: unknown): asserts result is DisconnectResult<unknown> {
  const callback = 'handleDisconnect'
  requireKeys(callback, result, DISCONNECT_KEYS)
  const { stop, stay, reconnect } = result as DisconnectResult<unknown>
  const bad = (why: string): BadResponseError => new BadResponseError(callback, result, why)
  if ([stop, stay, reconnect].filter(one => one !== undefined).length > 1) {
    throw bad('only one of stop, stay and reconnect')
  }
  if (stay !== undefined && (stay as unknown) !== true) throw bad('stay must be true')
  if (reconnect === undefined || reconnect === true) return
  requireKeys(callback, reconnect, RECONNECT_KEYS)
  const { delayMs } = reconnect
  if (delayMs !== undefined && !(typeof delayMs === 'number' && delayMs >= 0)) {
    throw bad('delayMs must be a number of milliseconds')
  }
}

/** `close` of a result, as a frame. */
export function closeFrame(wish: CloseWish): CheckedFrame & { readonly type: 'close' } {
  if (wish === true) return { type: 'close', code: 1000 }
  if (typeof wish !== 'object' || wish === null || Array.isArray(wish))
    throw new TypeError('close must be true, or a code and a reason')
  requireOptions(wish, CLOSE_KEYS)
  const { code = 1000, reason } = wish
  return { type: 'close', code, reason }
}

function checkFrames(reply: Frame | readonly Frame[]): readonly CheckedFrame[] {
  if (!Array.isArray(reply)) return [checkFrame(reply as Frame)]
  const frames = (reply as readonly Frame[]).map(checkFrame)
  // What follows a Close in one list is dropped.
  const end = frames.findIndex(frame => frame.type === 'close')
  return end < 0 ? frames : frames.slice(0, end + 1)
}

/** Refuses what is no object, and what has other keys than these. @throws BadResponseError. */
export function requireKeys(callback: string, result: unknown, known: Readonly<Record<string, true>>): void {
  if (typeof result !== 'object' || result === null || Array.isArray(result)) {
    throw new BadResponseError(callback, result, 'a result is an object, or nothing')
  }
  for (const key in result) {
    if (!Object.hasOwn(known, key) && Object.hasOwn(result, key))
      throw new BadResponseError(callback, result, `there is no ${key} in a result`)
  }
}
