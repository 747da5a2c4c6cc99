/** Which end of the connection this is. A client masks what it sends and expects unmasked frames; a server the reverse. */
export type Role = 'client' | 'server'

/** Frame opcodes. RFC 6455, section 5.2 and 11.8. */
export const Opcode = {
  Continuation: 0x0,
  Text: 0x1,
  Binary: 0x2,
  Close: 0x8,
  Ping: 0x9,
  Pong: 0xa,
} as const
/** One of the six opcodes that RFC 6455 defines; every other value fails the connection. */
export type Opcode = (typeof Opcode)[keyof typeof Opcode]

/** The largest payload of a control frame, in bytes. RFC 6455, section 5.5. */
export const MAX_CONTROL_PAYLOAD_BYTES = 125
