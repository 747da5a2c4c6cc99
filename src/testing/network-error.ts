/** How the operating system names what went wrong. */
const MESSAGES = {
  ECONNREFUSED: 'connect ECONNREFUSED',
  ECONNRESET: 'read ECONNRESET',
  EPIPE: 'write EPIPE',
} as const

/** An error as the operating system's calls give it: with the `code`, `errno`-like, that a program looks at. */
export class NetworkError extends Error {
  /** `ECONNREFUSED`, `ECONNRESET` or `EPIPE`. */
  readonly code: keyof typeof MESSAGES
  /** `connect`, `read` or `write`. */
  readonly syscall: string

  /** @param peer what was connected to, for the message. */
  constructor(code: keyof typeof MESSAGES, peer = '') {
    super(peer === '' ? MESSAGES[code] : `${MESSAGES[code]} ${peer}`)
    this.code = code
    this.syscall = MESSAGES[code].split(' ')[0]
  }
}
