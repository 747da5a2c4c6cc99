/** Cuts `bytes` at the given places, which may be in any order, doubled, or outside. The parts are copies. */
export function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ordered = [...places].filter(place => place >= 0 && place <= bytes.length).toSorted((a, b) => a - b)
  const parts: Uint8Array[] = []
  let from = 0
  for (const place of [...ordered, bytes.length]) {
    parts.push(bytes.slice(from, place))
    from = place
  }
  return parts
}

/** Cuts `bytes` into parts of `size`. */
export function cutEvery(bytes: Uint8Array, size: number): Uint8Array[] {
  const parts: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += size) parts.push(bytes.slice(at, at + size))
  return parts
}

/** Small numbers that look random and are the same in every run (xorshift). */
export function randoms(seed: number): (below: number) => number {
  let state = seed | 0 || 1
  return below => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

export function randomBytes(next: (below: number) => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => next(256))
}
