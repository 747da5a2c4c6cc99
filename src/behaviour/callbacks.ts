// Strategy: the only place that calls the user's callbacks while a process runs. Synchronous ones are called and done with:
// no promise, no closure for a received message. What a callback throws, rejects with, or answers badly ends the process with
// the state from before it.
import type { Message } from '../protocol/index.js'
import type { Behaviour } from './behaviour.js'
import { toError } from './ending.js'
import type { Self } from './process.js'
import { Initial, type InitMode } from './result.js'
import { isThenable } from './thenable.js'

/** A behaviour of any types. */
export type AnyBehaviour = Behaviour<unknown, unknown, unknown, unknown, unknown, unknown>

/** What a callback's end leads to. */
export interface CallbacksHost {
  /** Takes the result of the callback `name`. What it throws counts as thrown by the callback. */
  apply(name: string, result: unknown): void
  crashed(name: string, error: Error): void
  /** True once nobody wants results any more. */
  done(): boolean
}

/** Calls the callbacks of one process. */
export class Callbacks {
  /** The behaviour that runs. */
  behaviour: AnyBehaviour
  /** The user's state. */
  state: unknown = undefined
  /** What they hold of their process. */
  readonly self: Self
  readonly #host: CallbacksHost
  #inside = false
  #calls = 0

  constructor(behaviour: AnyBehaviour, self: Self, host: CallbacksHost) {
    this.behaviour = behaviour
    this.self = self
    this.#host = host
  }

  /** How many callbacks were called. */
  get calls(): number {
    return this.#calls
  }

  /** True while a callback is on the stack. */
  get inside(): boolean {
    return this.#inside
  }

  /**
   * Calls `init`, which gives the first state; without one it is `args`.
   *
   * @returns how to begin, null where `init` does not say; a promise of it when `init` is asynchronous.
   * @throws what `init` throws; or rejects with it.
   */
  init(args: unknown): InitMode | null | Promise<InitMode | null> {
    const { behaviour } = this
    const first: unknown = behaviour.init === undefined ? args : behaviour.init(args, this.self)
    if (behaviour.init === undefined || !isThenable(first)) return this.#begin(first)
    return Promise.resolve(first).then(state => this.#begin(state))
  }

  #begin(first: unknown): InitMode | null {
    this.state = first instanceof Initial ? first.state : first
    return first instanceof Initial ? first.mode : null
  }

  /** Calls `handleFrame`. @returns a promise, which never rejects, when the callback is asynchronous. */
  frame(message: Message): Promise<void> | null {
    const { behaviour } = this
    if (behaviour.handleFrame === undefined) return null
    let answer: unknown
    this.#inside = true
    this.#calls++
    try {
      answer = behaviour.handleFrame(message, this.state, this.self)
    } catch (error) {
      this.#inside = false
      this.#crash('handleFrame', error)
      return null
    }
    this.#inside = false
    return answer === undefined ? null : this.#take('handleFrame', answer, null)
  }

  /**
   * Calls any other callback.
   *
   * @param invoke - calls it.
   * @param apply - takes its result instead of the host.
   * @returns a promise, which never rejects, when the callback is asynchronous.
   */
  call(
    name: string,
    invoke: (behaviour: AnyBehaviour, state: unknown, self: Self) => unknown,
    apply: ((result: unknown) => void) | null = null,
  ): Promise<void> | null {
    let answer: unknown
    this.#inside = true
    this.#calls++
    try {
      answer = invoke(this.behaviour, this.state, this.self)
    } catch (error) {
      this.#inside = false
      this.#crash(name, error)
      return null
    }
    this.#inside = false
    return this.#take(name, answer, apply)
  }

  #take(name: string, answer: unknown, apply: ((result: unknown) => void) | null): Promise<void> | null {
    if (!isThenable(answer)) {
      this.#apply(name, answer, apply)
      return null
    }
    return Promise.resolve(answer).then(
      result => this.#apply(name, result, apply),
      (error: unknown) => this.#crash(name, error),
    )
  }

  #apply(name: string, result: unknown, apply: ((result: unknown) => void) | null): void {
    if (this.#host.done()) return
    try {
      if (apply !== null) apply(result)
      else if (result !== undefined) this.#host.apply(name, result)
    } catch (error) {
      this.#crash(name, error)
    }
  }

  #crash(name: string, error: unknown): void {
    if (!this.#host.done()) this.#host.crashed(name, toError(error))
  }
}
