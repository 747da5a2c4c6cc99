// Strategy: RFC 8305 section 5. The candidates are tried in order; each is given `attemptDelayMs` before the next is
// tried beside it, and a failure starts the next at once. The first socket that connects wins and all others are
// destroyed. Node has the same built in (`autoSelectFamily`), but it ties lookup and connect into one operation with no
// time limit for either, runs on timers that no test can step, and gives up an address when its 250 ms are over where
// the RFC goes on waiting for it.
//
// The race runs until it is decided or given up; whose time limit that is, `runPhase` knows.

import type { Socket } from 'node:net'
import { after, type Clock } from './clock.js'
import { awaitConnection } from './connecting.js'
import { isLending } from './lent-reads.js'
import { awaitEvent, discard } from './stream-events.js'

/**
 * What to race.
 */
export interface Race<T> {
  /** In the order in which they are tried; at least one. */
  readonly candidates: readonly T[]
  /** Begins to connect to one of them. What it throws counts as a failed attempt. */
  readonly connect: (candidate: T) => Socket
  readonly attemptDelayMs: number
  readonly clock: Clock
}

/**
 * Connects to the candidates until one answers.
 *
 * @param won - gets the first socket that connected, with no listener left on it but one that ignores errors.
 * @param lost - gets the only error, or an `AggregateError` with the `code` of the first.
 * @returns a function that gives the race up and destroys every socket in it.
 */
export const startRace = <T>(
  { candidates, connect, attemptDelayMs, clock }: Race<T>,
  won: (socket: Socket) => void,
  lost: (error: Error) => void,
): (() => void) => {
  const running = new Map<Socket, () => void>()
  const errors: Error[] = []
  let tried = 0
  let stopTimer: (() => void) | undefined

  const stop = (): void => {
    stopTimer?.()
    for (const [socket, forget] of running) {
      forget()
      discard(socket)
    }
    running.clear()
  }
  const failed = (error: Error): void => {
    errors.push(error)
    if (tried < candidates.length) tryNext()
    else if (running.size === 0) lost(combine(errors))
  }
  const tryNext = (): void => {
    stopTimer?.()
    const candidate = candidates[tried++]
    if (tried < candidates.length) stopTimer = after(clock, attemptDelayMs, tryNext)
    let socket: Socket
    try {
      socket = connect(candidate)
    } catch (error) {
      failed(error instanceof Error ? error : new Error(String(error)))
      return
    }
    const connected = (): void => {
      running.delete(socket)
      stop()
      won(socket)
    }
    const lose = (cause: Error | undefined): void => {
      running.delete(socket)
      discard(socket)
      failed(cause ?? new Error('the socket closed before it was connected'))
    }
    // One that lends what it reads keeps its listeners from owner to owner.
    const forget = isLending(socket)
      ? awaitConnection(socket, connected, lose)
      : awaitEvent(socket, 'connect', connected, lose)
    running.set(socket, forget)
  }
  tryNext()
  return stop
}

const combine = (errors: readonly Error[]): Error => {
  const [first] = errors
  if (errors.length === 1) return first
  const all = new AggregateError(errors, errors.map(error => error.message).join('; '))
  return 'code' in first ? Object.assign(all, { code: first.code }) : all
}
