import type { DisconnectStatus } from './disconnect-status.js'
import type { Cause } from './ending.js'
import type { CloseRequest } from './frame.js'

/** The end of a process that does not connect again. */
export function causeOf({ reason: { type, normal, code, text }, error }: DisconnectStatus): Cause {
  return { type, normal, code, text, error, value: undefined }
}

/** The end of a process that was to close when it had no connection: as if it had closed one, and did not want another. */
export function closeCause({ code, reason: text = '' }: CloseRequest): Cause {
  const normal = code === undefined || code === 1000
  return { type: 'local', normal, code: code ?? null, text, error: null, value: undefined }
}

/** The end of a process that was told to stop. */
export function stopCause(value: unknown): Cause {
  const error = value instanceof Error ? value : null
  return { type: 'stop', normal: error === null, code: null, text: '', error, value }
}

/** The end of a process whose signal was aborted. */
export function abortCause({ reason }: AbortSignal): Cause {
  return { ...stopCause(undefined), value: reason }
}

/** The end of a process that had a name which another one has now. */
export function conflictCause(error: Error): Cause {
  return { ...stopCause(error), type: 'name-conflict', text: 'name-conflict', value: undefined }
}

/** The end of a process whose client said nothing for too long, or has been there long enough. */
export const TIMEOUT_CAUSE: Cause = {
  type: 'timeout',
  normal: true,
  code: null,
  text: 'timeout',
  error: null,
  value: undefined,
}
