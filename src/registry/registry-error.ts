/** Stable names of what can go wrong with a registry. */
export type RegistryErrorCode =
  /** It is closed. */
  | 'WS_REGISTRY_CLOSED'
  /** What it lives on cannot be reached, or did not answer in time. */
  | 'WS_REGISTRY_UNREACHABLE'
  /** A name is empty or no text, or a message cannot be carried to another machine. */
  | 'WS_REGISTRY_BAD_NAME'
  | 'WS_REGISTRY_BAD_MESSAGE'
  /** The error of an end of type `name-conflict`: of a process that had a name which another one has now, after the machines had lost sight of each other. */
  | 'WS_NAME_CONFLICT'

/** A registry could not do what it was asked for. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError'
  /** What was wrong; stable, unlike the message. */
  readonly code: RegistryErrorCode

  /** @param message for a developer to read, not part of the API. */
  constructor(code: RegistryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
