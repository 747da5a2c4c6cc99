import { InvalidHeadError } from '../handshake/index.js'
import { UsageError } from '../protocol/index.js'
import type { DisconnectStatus } from './disconnect-status.js'
import type { ReconnectPolicy } from './reconnect-policy.js'
import type { DisconnectResult, InitMode } from './result.js'
import type { ProcessSettings } from './start-options.js'

/** Whether a process connects again, and how long it waits before that. */
export class Backoff {
  readonly #settings: ProcessSettings
  #policy: ReconnectPolicy | null
  /** For reconnects that the policy has no say in; made when it is needed. */
  #fallback: ReconnectPolicy | null = null

  constructor(settings: ProcessSettings) {
    this.#settings = settings
    this.#policy = settings.policy
  }

  /** As `init` wished. */
  begin(mode: InitMode | null): void {
    if (mode === 'reconnect') this.#policy ??= this.#always
    else if (mode === 'once') this.#policy = null
  }

  /** A connection was there for so long. */
  lived(ms: number): void {
    if (this.#settings.accepted === null) this.#always.lived(ms)
  }

  /**
   * The delay in milliseconds, null for not again.
   *
   * @param asked - what `handleDisconnect` wants.
   * @param fresh - whether another attempt may have other credentials.
   */
  delay(
    status: DisconnectStatus,
    asked: DisconnectResult<unknown>['reconnect'],
    fresh: boolean,
  ): number | null {
    const wasOpen = status.phase === 'open' || status.phase === 'closing'
    if (asked !== undefined) {
      // At once after a connection that was there; after a failure not in a busy loop, unless it is asked for.
      const delayMs = asked === true ? undefined : asked.delayMs
      return delayMs ?? (wasOpen ? 0 : this.#always.delay(status))
    }
    // What this side asks for wrongly stays wrong.
    const { error } = status
    const hopeless = !wasOpen && (error instanceof UsageError || error instanceof InvalidHeadError)
    return hopeless ? null : (this.#policy?.decide(status, fresh) ?? null)
  }

  get #always(): ReconnectPolicy {
    this.#fallback ??= this.#settings.policy ?? this.#settings.defaultPolicy()
    return this.#fallback
  }
}
