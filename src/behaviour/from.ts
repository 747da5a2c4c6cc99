/** Who made a call: answer it with {@link reply}, or {@link refuse} it; once, now or later, from anywhere. */
export interface From<Answer> {
  /** False when it was answered, or nobody waits for the answer any more. */
  readonly waiting: boolean
  /** @internal */
  readonly settle: (answer: Answer) => boolean
  /** @internal */
  readonly fail: (error: unknown) => boolean
}

/**
 * Answers a call.
 *
 * @returns false when it was answered already, or nobody waits for the answer any more.
 */
export function reply<Answer>(from: From<Answer>, answer: Answer): boolean {
  return from.settle(answer)
}

/**
 * Refuses a call: it rejects with `error`, and the process goes on.
 *
 * @returns false when it was answered already, or nobody waits for the answer any more.
 */
export function refuse<Answer>(from: From<Answer>, error: Error): boolean {
  return from.fail(error)
}
