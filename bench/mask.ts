// Strategy: masking alone, the way each side's own receiver and sender call it, at sizes around every threshold and
// at starts that are and are not a multiple of a word. Masking twice restores the bytes, so unmasking in place
// needs no fresh copy. Our view of the memory as words is made once per chunk by its owner, so it is made outside
// the loop here; ws is given the payload as a Buffer, which its receiver has made before.
import { deepStrictEqual } from 'node:assert'
import type { Bench } from './bench.js'
import { alone, withAddOns } from './bench.js'
import type { MaskInternals } from './internals.js'
import { loadMask } from './internals.js'
import type { Contestant } from './measure.js'
import { measure } from './measure.js'
import type { BufferUtil } from './peers.js'
import type { Cell } from './report.js'
import { cellOf, ours } from './report.js'
import { payload, seeded } from './sample.js'
import { sizeName } from './targets.js'

const sizes = [4, 16, 32, 64, 125, 256, 1024, 4096, 16384, 65536, 262144, 1048576]
const quickSizes = [16, 125, 1024, 16384, 1048576]

/** How far after a multiple of eight a payload starts. */
const offsets = [0, 6, 1, 3]

const key = Buffer.from([0x37, 0xfa, 0x21, 0x3d])
const keyNumber = key.readInt32LE()

interface Place {
  readonly source: Buffer
  readonly size: number
  readonly offset: number
}

type Kernel = () => number

function contestant(name: string, kernel: Kernel): Contestant {
  return {
    name,
    run(iterations) {
      let sum = 0
      for (let i = 0; i < iterations; i++) sum += kernel()
      return sum
    },
  }
}

const idle = contestant('(the empty loop, taken out)', () => 1)

/** Memory with room for the payload at its offset. */
function memory({ size, offset }: Place): Buffer {
  return Buffer.allocUnsafeSlow(size + offset + 8)
}

function ourUnmask(internals: MaskInternals, place: Place): Kernel {
  const { source, size, offset } = place
  const bytes = memory(place)
  bytes.set(source, offset)
  const words = internals.dataView(bytes)
  return () => {
    internals.xorMask(bytes, offset, offset + size, keyNumber, words)
    return bytes[offset]
  }
}

function ourMask(internals: MaskInternals, place: Place): Kernel {
  const { source, size, offset } = place
  const bytes = memory(place)
  const words = internals.dataView(bytes)
  return () => {
    bytes.set(source, offset)
    internals.xorMask(bytes, offset, offset + size, keyNumber, words)
    return bytes[offset]
  }
}

function theirUnmask(util: BufferUtil, place: Place): Kernel {
  const { source, size, offset } = place
  const bytes = memory(place).subarray(offset, offset + size)
  bytes.set(source)
  return () => {
    util.unmask(bytes, key)
    return bytes[0]
  }
}

function theirMask(util: BufferUtil, place: Place): Kernel {
  const { source, size, offset } = place
  const bytes = memory(place)
  return () => {
    util.mask(source, key, bytes, offset, size)
    return bytes[offset]
  }
}

/** One run of ours equals the byte loop of RFC 6455, 5.3. */
function verify(internals: MaskInternals, { source, size, offset }: Place): void {
  const bytes = memory({ source, size, offset })
  bytes.set(source, offset)
  internals.xorMask(bytes, offset, offset + size, keyNumber, internals.dataView(bytes))
  const expected = Buffer.from(source.map((byte, i) => byte ^ key[i & 3]))
  deepStrictEqual(bytes.subarray(offset, offset + size), expected)
}

export const mask: Bench = {
  title: 'mask: XOR with the four-byte key',
  notes: [
    'ws uses a byte loop below 32 bytes (48 when it copies) and its add-on above; "bufferutil" is the add-on called',
    'directly. Copying = the payload stays as it is and the masked bytes go into the frame.',
  ],
  async *run(context) {
    const internals = await loadMask()
    const { native, plain, bufferutil } = context.peers
    for (const copying of [false, true]) {
      const group = copying ? 'mask while copying' : 'unmask in place'
      const our = copying ? ourMask : ourUnmask
      const their = copying ? theirMask : theirUnmask
      const cells: Cell[] = []
      for (const offset of context.quick ? [6] : offsets) {
        for (const size of context.quick ? quickSizes : sizes) {
          const row = `start at 8n + ${offset}`
          const column = sizeName(size)
          if (!context.wanted(group, row, column)) continue
          context.progress(`${group}; ${row}; ${column}`)
          const place = { source: payload('binary', size, seeded(size)), size, offset }
          verify(internals, place)
          const contestants = [
            contestant(ours, our(internals, place)),
            contestant(withAddOns, their(native.bufferUtil, place)),
            contestant('bufferutil', their(bufferutil, place)),
            contestant(alone, their(plain.bufferUtil, place)),
          ]
          const timings = await measure({ contestants, overhead: idle, operations: 1 }, context.pace)
          cells.push(cellOf({ group, row, column, headline: withAddOns, target: null }, timings))
        }
      }
      if (cells.length > 0) yield { cells, operation: 'payload' }
    }
  },
}
