// Strategy: axes that say how much something is. A column's heading ("16 KiB", "10,000 connections") becomes a number where
// all headings of a table are numbers of the same thing; then it can be drawn as a curve.

/** Maps values to coordinates, by their logarithms. */
export type Scale = (value: number) => number

/** From `[low, high]` to `[from, to]`. */
export function logScale(low: number, high: number, from: number, to: number): Scale {
  const factor = (to - from) / Math.log(high / low)
  return value => from + Math.log(value / low) * factor
}

/** A range around these values, a little wider, and at least a factor of two. */
export function logRange(values: readonly number[]): [low: number, high: number] {
  const low = Math.min(...values)
  const high = Math.max(...values)
  const margin = Math.max(1.12, Math.sqrt(2 / (high / low)))
  return [low / margin, high * margin]
}

/** Round numbers within a range: as few as one in three decades, as many as five in one. */
export function logTicks(low: number, high: number): number[] {
  const decades = Math.log10(high / low)
  let steps =
    decades > 2.2 ? [1] : decades > 1.2 ? [1, 3] : decades > 0.6 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 7]
  if (decades < 0.35) steps = [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9]
  const every = Math.ceil(decades / 7)
  const ticks: number[] = []
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    if (power % every !== 0) continue
    for (const step of steps) {
      const tick = Number((step * 10 ** power).toPrecision(3))
      if (tick >= low && tick <= high) ticks.push(tick)
    }
  }
  return ticks
}

const bytes: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
}

function quantity(label: string): { readonly value: number; readonly kind: string } | null {
  const found = /^(\D*)(\d[\d,]*(?:\.\d+)?)\s*(.*)$/.exec(label)
  if (found === null) return null
  const [, before, number, after] = found
  const value = Number(number.replaceAll(',', ''))
  // p50 and p99 are no distances from each other.
  if (value <= 0 || /^p$/i.test(before)) return null
  const [unit, ...rest] = after.split(' ')
  if (unit in bytes) return { value: value * bytes[unit], kind: `${before}# bytes ${rest.join(' ')}` }
  return { value, kind: `${before}# ${after.replace(/s$/, '')}` }
}

/** The headings as numbers, when they all are numbers of the same thing and no two are equal; null otherwise. */
export function quantities(labels: readonly string[]): number[] | null {
  const found = labels.map(quantity)
  const kind = found[0]?.kind
  if (found.some(one => one === null || one.kind !== kind)) return null
  const values = found.map(one => one!.value)
  return new Set(values).size === values.length ? values : null
}
