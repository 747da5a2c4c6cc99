/** What a test waited for will never be: nothing is left that could bring it about, or its time is over. */
export class StalledError extends Error {
  override readonly name = 'StalledError'
  /** Stable, unlike the message. */
  readonly code = 'WS_TEST_STALLED'
}
