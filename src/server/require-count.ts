import { UsageError } from '../protocol/index.js'

/** A whole number, or no limit. @throws UsageError `WS_BAD_OPTION`. */
export function requireCount(name: string, value: number): number {
  if (value === Infinity || (Number.isInteger(value) && value >= 0)) return value
  throw new UsageError('WS_BAD_OPTION', `${name} must be a whole number or Infinity`)
}
