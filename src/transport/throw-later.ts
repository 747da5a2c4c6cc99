/** Throws an error of the user's own callback where nobody of ours is on the stack. */
export function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}
