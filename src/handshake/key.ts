import { hash, randomFillSync } from 'node:crypto'

// 1.3: the string that only a server which knows the WebSocket protocol appends to the key.
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

const KEY_BYTES = 16
/** Random bytes, of which each is used once: asking for many costs as much as asking for few. */
const pool = Buffer.allocUnsafeSlow(KEY_BYTES * 128)
let at = 0

/**
 * A fresh `Sec-WebSocket-Key`: 16 random bytes in base64 (RFC 6455 section 4.1 (7)). One for each connection.
 */
export function generateKey(): string {
  if (at === pool.length) at = 0
  if (at === 0) randomFillSync(pool)
  return pool.toString('base64', at, (at += KEY_BYTES))
}

/** The `Sec-WebSocket-Accept` that answers a key (RFC 6455 section 4.2.2 (5.4)). */
export function acceptKey(key: string): string {
  return hash('sha1', key + GUID, 'base64')
}

/**
 * Whether the text is the base64 of 16 bytes. The four bits that the last digit has too many may be anything:
 * the key in the RFC's own section 4.1 (7) has them set.
 */
export function isKey(text: string): boolean {
  return /^[A-Za-z0-9+/]{22}==$/.test(text)
}
