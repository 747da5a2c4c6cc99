/** Who made a call: answer it with {@link reply}, once, now or later, from anywhere. */
export interface From<Answer> {
  /** @internal */
  readonly settle: (answer: Answer) => boolean
}

/**
 * Answers a call.
 *
 * @returns false when it was answered already, or nobody waits for the answer any more.
 */
export function reply<Answer>(from: From<Answer>, answer: Answer): boolean {
  return from.settle(answer)
}
