/** The payload sizes of every table, in bytes. */
export const sizes = [16, 125, 1024, 16 * 1024, 1024 * 1024] as const

/** "16 KiB" for 16384. */
export function sizeName(bytes: number): string {
  if (bytes % 1048576 === 0) return `${bytes / 1048576} MiB`
  return bytes % 1024 === 0 ? `${bytes / 1024} KiB` : `${bytes} B`
}

/** One number per size: how many times as fast as `ws` with its native add-ons. */
export type Row = readonly [number, number, number, number, number]

/** What `row` wants at a size; null for a size that nobody set a target for. */
export function targetAt(row: Row, size: number): number | null {
  return row[sizes.findIndex(known => known === size)] ?? null
}

/** 64 KiB chunks. The rows with mixed UTF-8 are measured beside these and have no target. */
export const decodeTargets: Readonly<Record<string, Row>> = {
  'text, unmasked': [5, 3, 2, 1.5, 1],
  'binary, unmasked': [4, 4, 4, 3, 1],
  'text, masked': [5, 2.5, 1.5, 1, 1],
  'binary, masked': [4, 2.5, 1.2, 1, 1],
}

/** One frame per chunk, and chunks cut at random. */
export const otherChunksTarget: Row = [3, 3, 1, 1, 1]

export const encodeTargets: Readonly<Record<'client' | 'server', Row>> = {
  client: [3, 3, 1.2, 1, 1],
  server: [3, 3, 3, 1, 1],
}

/** What 10,000 kept 16-byte messages out of a busy stream may hold, in bytes. */
export const retainedBytesTarget = 5_000_000

/** Compressed messages, by payload size, in both directions. From 64 KiB on it is zlib that takes the time. */
export const deflateTargets: Readonly<Record<number, number>> = {
  143: 3,
  1024: 3,
  65536: 1,
  1048576: 1,
}

/** What an idle compressed connection may hold, as a share of what `ws` holds for it. */
export const deflateMemoryTarget = 0.5

/** What an idle connection with a behaviour may add to a bare one, as a share of what `ws` adds. */
export const idleMemoryTarget = 0.5

/** How much memory may grow over 50,000 compressed messages after the first 50,000, in bytes. */
export const deflateGrowthTarget = 4_000_000

/** What is sent to 10,000: as a share of the speed of a bare `socket.write` loop, or times as fast as `ws`'s loop. */
export const broadcastTargets = { one: 1 / 1.1, ten: 4, compressed: 10 } as const
