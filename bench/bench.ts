import type { Pace } from './measure.js'
import type { Peers } from './peers.js'
import type { Cell } from './report.js'

/** What every bench is given. */
export interface Context {
  readonly peers: Peers
  readonly pace: Pace
  /** Fewer rows, shorter slots. */
  readonly quick: boolean
  /** Payload sizes for decode and encode, in bytes. */
  readonly sizes: readonly number[]
  /** Whether a cell with this group, row and column was asked for. */
  readonly wanted: (group: string, row: string, column: string) => boolean
  /** Called before a cell is measured. */
  readonly progress: (label: string) => void
}

/** One group of cells, as soon as it is complete. */
export interface Group {
  readonly cells: readonly Cell[]
  /** What one operation is, for the heading of the times. */
  readonly operation: string
  /** What else was found, a line each, below the tables. */
  readonly notes?: readonly string[]
}

export interface Bench {
  readonly title: string
  /** What is counted and what is not, in a few lines printed above the tables. */
  readonly notes: readonly string[]
  readonly run: (context: Context) => AsyncGenerator<Group>
}

/** The names of `ws`'s two copies, in every table. */
export const withAddOns = 'ws + add-ons'
export const alone = 'ws alone'
