import { randomFillSync } from 'node:crypto'
import type { MaskSource } from '../protocol/index.js'

const KEYS = 2048
const keys = new Int32Array(KEYS)
let next = KEYS

/**
 * Masking keys for every client connection of the process. 5.3, 10.3: the key of each frame must be unpredictable, so
 * from a strong source of entropy. Filled 8 KiB at a time, since one call of the generator costs as much as 2,000 keys.
 */
export const systemMaskKey: MaskSource = () => {
  if (next === KEYS) {
    randomFillSync(keys)
    next = 0
  }
  return keys[next++]
}
