/** Close codes that RFC 6455 (section 7.4.1) and the IANA registry (11.7) give a name. */
export const CloseCode = {
  Normal: 1000,
  GoingAway: 1001,
  ProtocolError: 1002,
  UnsupportedData: 1003,
  /** Never on the wire: the peer's Close frame had no code. */
  NoStatus: 1005,
  /** Never on the wire: the connection ended without a Close frame. */
  Abnormal: 1006,
  InvalidPayload: 1007,
  PolicyViolation: 1008,
  MessageTooBig: 1009,
  MandatoryExtension: 1010,
  InternalError: 1011,
  ServiceRestart: 1012,
  TryAgainLater: 1013,
  BadGateway: 1014,
  /** Never on the wire: the TLS handshake failed. */
  TlsHandshake: 1015,
} as const
/** A close code with a name; any other code of 3000 to 4999 is as valid. */
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode]

/** What a Close frame said. `code` is 1005 when the frame was empty. */
export interface CloseFrame {
  readonly code: number
  readonly reason: string
}

/**
 * True when `code` may stand in a Close frame: 1000 to 1003, 1007 to 1014, 3000 to 4999.
 * 7.4.1 reserves 1004, 1005, 1006 and 1015; 7.4.2 leaves 0 to 999 unused and 1016 to 2999 to future revisions.
 * The same ranges hold in both directions.
 */
export function isWireCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false
  if (code >= 3000) return code <= 4999
  return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)
}
