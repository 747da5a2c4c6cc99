import type { ConnectOptions } from '../transport/connect.js'
import { requireOptions } from '../transport/dial-options.js'
import type { DisconnectStatus } from './disconnect-status.js'

/** What may differ from attempt to attempt; laid over the options of `start()`. */
export type TargetOptions = Pick<
  ConnectOptions,
  'headers' | 'origin' | 'subprotocols' | 'tls' | 'insecure' | 'proxy' | 'cookieStore'
>

/** A URL with options of its own. */
export interface TargetObject extends TargetOptions {
  readonly url: string | URL
}

/** What is known when a target is asked for. */
export interface TargetRequest {
  /** 1 for the first attempt after the start or after a connection that was open. */
  readonly attempt: number
  /** Why there was no connection before; null for the first one. */
  readonly last: DisconnectStatus | null
  /** Aborted when the answer is not wanted any more. */
  readonly signal: AbortSignal
}

/** Finds out where to connect to, for each attempt anew: a fresh token, another host. It may take `targetTimeoutMs`. */
export type TargetFactory = (
  request: TargetRequest,
) => string | URL | TargetObject | Promise<string | URL | TargetObject>

/** Where to connect to. */
export type StartTarget = string | URL | TargetObject | TargetFactory

const OPTIONS: Readonly<Record<keyof TargetObject, true>> = {
  url: true,
  headers: true,
  origin: true,
  subprotocols: true,
  tls: true,
  insecure: true,
  proxy: true,
  cookieStore: true,
}

/**
 * Refuses what is no option of a target.
 *
 * @throws UsageError `WS_BAD_OPTION`.
 */
export function requireTargetObject(target: TargetObject): TargetObject {
  requireOptions(target, OPTIONS, 'target')
  return target
}
