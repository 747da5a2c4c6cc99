// Invariant: for both roles and any allowed RSV bits, `FrameDecoder` on arbitrary bytes
//   - reports the same frames, the same payload and the same violation however the bytes are cut;
//   - agrees with a naive reader of the whole input, frame by frame, and throws exactly where that finds a bad header;
//   - throws nothing but ProtocolViolation;
//   - keeps every piece inside the chunk it was fed, pieces in order, `first`, `last` and `frameBytes` right, and calls
//     only bytes below 128 `ascii`;
//   - ends: at most one call of `next()` for each byte and one more for each chunk.
//
// Input: [role and RSV][chunk sizes][bytes from the peer…].
import { FrameDecoder, ProtocolViolation, type Role, unmask } from 'sansocket/protocol'
import { bytewise, cut, must, mustEqual, sizesOf, whole } from './support.js'

interface Frame {
  readonly opcode: number
  readonly fin: boolean
  readonly rsv: number
  readonly frameBytes: number
  readonly payload: number[]
}

interface Trace {
  readonly frames: Frame[]
  /** The violation's code, or null. */
  violation: string | null
}

export function fuzz(data: Buffer): void {
  if (data.length < 3) return
  const role: Role = (data[0] & 1) === 0 ? 'server' : 'client'
  const allowedRsv = (data[0] >> 1) & 7
  const bytes = new Uint8Array(data.subarray(2))

  const trace = decode(role, allowedRsv, whole(bytes))
  mustEqual(decode(role, allowedRsv, cut(bytes, sizesOf(data[1]))), trace, 'cut and whole differ')
  mustEqual(decode(role, allowedRsv, bytewise(bytes)), trace, 'bytewise and whole differ')

  const naive = readNaively(role, allowedRsv, bytes)
  mustEqual(trace.frames, naive.frames, 'decoder and naive reader differ')
  if (naive.violated) must(trace.violation !== null, 'a bad header passed')
  if (trace.violation !== null)
    must(naive.violated || naive.tailViolated, 'a good header was refused', () => trace.violation)
}

function decode(role: Role, allowedRsv: number, chunks: Iterable<Uint8Array>): Trace {
  const decoder = new FrameDecoder(role, allowedRsv)
  const trace: Trace = { frames: [], violation: null }
  let missing = 0
  try {
    for (const chunk of chunks) {
      decoder.feed(chunk)
      let at = 0
      let calls = 0
      while (decoder.next()) {
        must(++calls <= chunk.length + 1, 'next() does not end')
        unmask(decoder.piece)
        const { opcode, fin, rsv, start, end, frameBytes, first, last, ascii } = decoder.piece
        must(decoder.piece.chunk === chunk, 'a piece points outside its chunk')
        must(at <= start && start <= end && end <= chunk.length, 'a piece leaves its bounds', () => [
          at,
          start,
          end,
        ])
        at = end
        if (first) {
          must(missing === 0, 'a frame starts inside another')
          trace.frames.push({ opcode, fin, rsv, frameBytes, payload: [] })
          missing = frameBytes
        }
        const frame = trace.frames.at(-1)
        must(frame !== undefined, 'the first piece is not first')
        mustEqual(
          [opcode, fin, rsv, frameBytes],
          [frame.opcode, frame.fin, frame.rsv, frame.frameBytes],
          'pieces of a frame differ',
        )
        for (let index = start; index < end; index++) {
          must(!ascii || chunk[index] < 0x80, 'a piece is not ASCII but says so')
          frame.payload.push(chunk[index])
        }
        missing -= end - start
        must(last ? missing === 0 : missing > 0, '`last` is wrong', () => missing)
      }
    }
  } catch (error) {
    if (!(error instanceof ProtocolViolation)) throw error
    trace.violation = error.code
  }
  return trace
}

/** Section 5.2 as plainly as it can be said, over the whole input; a frame cut by the end keeps what is there. */
function readNaively(
  role: Role,
  allowedRsv: number,
  bytes: Uint8Array,
): { frames: Frame[]; violated: boolean; tailViolated: boolean } {
  const frames: Frame[] = []
  for (let at = 0; at < bytes.length;) {
    const [first, second = 0] = bytes.subarray(at)
    const short = second & 0x7f
    const masked = second >= 0x80
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0
    const payloadAt = at + 2 + lengthBytes + (masked ? 4 : 0)
    const opcode = first & 15
    const rsv = (first >> 4) & 7
    const fin = first >= 0x80
    const control = opcode >= 8
    const badFirst =
      ![0, 1, 2, 8, 9, 10].includes(opcode) || (rsv & ~allowedRsv) !== 0 || (control && (!fin || rsv !== 0))
    const badSecond = masked !== (role === 'server') || (control && short > 125)
    const lengthThere = at + 2 + lengthBytes <= bytes.length
    let length = BigInt(short)
    if (lengthThere && lengthBytes > 0) {
      length = BigInt(`0x${Buffer.from(bytes.subarray(at + 2, at + 2 + lengthBytes)).toString('hex')}`)
    }
    const badLength =
      lengthThere && lengthBytes > 0 && (length < (lengthBytes === 2 ? 126n : 65_536n) || length >= 1n << 63n)

    if (payloadAt > bytes.length) {
      const tailViolated = badFirst || (at + 1 < bytes.length && (badSecond || badLength))
      return { frames, violated: false, tailViolated }
    }
    if (badFirst || badSecond || badLength) return { frames, violated: true, tailViolated: false }
    const key = bytes.subarray(payloadAt - 4, payloadAt)
    const payload = [...bytes.subarray(payloadAt, payloadAt + Number(length))]
    frames.push({
      opcode,
      fin,
      rsv,
      frameBytes: Number(length),
      payload: masked ? payload.map((byte, index) => byte ^ key[index % 4]) : payload,
    })
    at = payloadAt + payload.length
  }
  return { frames, violated: false, tailViolated: false }
}
