// Numbers as people read them. Nothing here asks the machine for its language, so the same results give the same page.

/** "12,345.6": thousands with commas. */
function grouped(value: number, decimals: number): string {
  const [whole, fraction] = value.toFixed(decimals).split('.')
  const spaced = whole.replaceAll(/\B(?=(\d{3})+$)/g, ',')
  return fraction === undefined ? spaced : `${spaced}.${fraction}`
}

/** Three digits, and no fewer than the number has before its point; "-" for what is no number. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return '-'
  const size = Math.abs(value)
  if (size >= 99.95) return grouped(value, 0)
  if (size >= 9.995) return grouped(value, 1)
  return size >= 0.0995 || value === 0 ? grouped(value, 2) : String(Number(value.toPrecision(2)))
}

/** A ratio; just below 1 it has a digit more, lest a loss read like a draw. */
export function ratioText(value: number): string {
  return value < 1 && value >= 0.95 ? value.toFixed(3) : digits(value)
}

/** A target, as it was written down. */
export const targetText = (value: number): string => String(Number(value.toFixed(2)))

/** Steps of a unit: from how much on, divided by what, called what. */
type Steps = readonly (readonly [number, number, string])[]

const times: Steps = [
  [1e9, 1e9, 's'],
  [1e6, 1e6, 'ms'],
  [1e3, 1e3, 'µs'],
  [0, 1, 'ns'],
]
const sizes: Steps = [
  [1e9, 1e9, 'GB'],
  [1e6, 1e6, 'MB'],
  [1e4, 1e3, 'KB'],
  [0, 1, 'B'],
]

/** What is a time or a size, by how many nanoseconds or bytes it is. */
const known: Readonly<Record<string, readonly [Steps, number]>> = {
  ns: [times, 1],
  µs: [times, 1e3],
  ms: [times, 1e6],
  s: [times, 1e9],
  bytes: [sizes, 1],
}

/** Whether cells of this unit are times. */
export const isTime = (unit: string): boolean => known[unit]?.[0] === times

/** "1.30 µs", "4.2 KB" or "3.20 attempts": in the step that suits the number. */
export function amountText(value: number, unit: string): string {
  if (!Number.isFinite(value)) return '-'
  const found = known[unit]
  if (found === undefined) return `${digits(value)} ${unit}`
  const [steps, factor] = found
  const amount = value * factor
  const [, divisor, name] = steps.find(([from]) => Math.abs(amount) >= from)!
  // There are no parts of a byte.
  const whole = name === 'B' && (Math.abs(amount) >= 10 || Number.isInteger(amount))
  return `${whole ? grouped(amount, 0) : digits(amount / divisor)} ${name}`
}

/** The same for a round number beside an axis: "1 µs", "1.5 µs". */
export function tickText(value: number, unit: string): string {
  return amountText(value, unit)
    .replace(/(\.\d*?)0+(?= |$)/, '$1')
    .replace(/\.(?= |$)/, '')
}
