// Strategy: validation alone, of whole texts: ASCII and a mix of characters of one to four bytes. Ours can also be
// fed in pieces, which the others cannot, so a row shows what that costs: the same text in pieces of a hundred bytes.
// Contestants walk through many texts of a size, for a processor that has seen one short text often enough predicts
// every branch of it.
import { strictEqual } from 'node:assert'
import * as buffer from 'node:buffer'
import type { Bench } from './bench.js'
import { withAddOns } from './bench.js'
import type { Utf8Internals } from './internals.js'
import { loadUtf8 } from './internals.js'
import type { Contestant } from './measure.js'
import { measure } from './measure.js'
import type { Cell } from './report.js'
import { cellOf, ours } from './report.js'
import type { Kind } from './sample.js'
import { payload, seeded } from './sample.js'
import { sizeName } from './targets.js'

const sizes = [16, 32, 64, 125, 256, 1024, 4096, 16384, 1048576]
const quickSizes = [16, 125, 1024, 16384, 1048576]
const PIECE_BYTES = 100

function contestant(name: string, texts: readonly Buffer[], valid: (bytes: Buffer) => boolean): Contestant {
  return {
    name,
    run(iterations) {
      let sum = 0
      for (let i = 0; i < iterations; i++) {
        for (const bytes of texts) if (valid(bytes)) sum++
      }
      return sum
    },
  }
}

function inPieces({ checkUtf8, UTF8_START }: Utf8Internals, bytes: Buffer): boolean {
  let state = UTF8_START
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    state = checkUtf8(state, bytes, at, Math.min(bytes.length, at + PIECE_BYTES))
  }
  return state === UTF8_START
}

const decoder = new TextDecoder('utf-8', { fatal: true })

export const utf8: Bench = {
  title: 'utf8: is this text valid?',
  notes: [
    'ws checks texts under 24 bytes by a loop of its own and longer ones by buffer.isUtf8; utf-8-validate is its add-on',
    'for versions of Node without that. TextDecoder makes a string as well.',
  ],
  async *run(context) {
    const internals = await loadUtf8()
    const { native, utf8Validate } = context.peers
    const group = 'validation'
    const cells: Cell[] = []
    const rows: [string, Kind][] = [
      ['ASCII', 'text'],
      ['mixed', 'utf8'],
    ]
    for (const [row, kind] of rows) {
      for (const size of context.quick ? quickSizes : sizes) {
        const column = sizeName(size)
        if (!context.wanted(group, row, column)) continue
        context.progress(`${group}; ${row}; ${column}`)
        const random = seeded(size)
        const count = Math.max(1, Math.min(1024, Math.floor((256 * 1024) / size)))
        const texts = Array.from({ length: count }, () => payload(kind, size, random))
        const { checkUtf8, UTF8_START } = internals
        const contestants = [
          contestant(ours, texts, bytes => checkUtf8(UTF8_START, bytes, 0, bytes.length) === UTF8_START),
          contestant(withAddOns, texts, native.isValidUTF8),
          contestant('buffer.isUtf8', texts, buffer.isUtf8),
          contestant('utf-8-validate', texts, utf8Validate),
          contestant('TextDecoder, fatal', texts, bytes => decoder.decode(bytes).length > 0),
        ]
        if (size > PIECE_BYTES) {
          const name = `${ours}, pieces of ${PIECE_BYTES} B`
          contestants.push(contestant(name, texts, bytes => inPieces(internals, bytes)))
        }
        for (const { name, run } of contestants)
          strictEqual(run(1), count, `${name} calls a valid text invalid`)
        const overhead = contestant('(the empty loop, taken out)', texts, () => true)
        const timings = await measure({ contestants, overhead, operations: count }, context.pace)
        cells.push(cellOf({ group, row, column, headline: withAddOns, target: null }, timings))
      }
    }
    if (cells.length > 0) yield { cells, operation: 'text' }
  },
}
