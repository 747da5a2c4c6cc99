import { payload, seeded } from '../sample.js'
import type { Load } from './library.js'

/** So many different payloads take turns. */
const VARIETY = 8

/** What is sent: strings, or bytes. */
export function payloads({ kind, bytes }: Load): (string | Buffer)[] {
  const random = seeded(bytes)
  return Array.from({ length: VARIETY }, () => {
    const data = payload(kind, bytes, random)
    return kind === 'binary' ? data : data.toString()
  })
}

/** Calls `send` so many times, with one payload after another. */
export function inTurns(load: Load, count: number, send: (data: never) => void): () => void {
  const all = payloads(load) as never[]
  let at = 0
  return () => {
    for (let i = 0; i < count; i++) send(all[at++ & (VARIETY - 1)])
  }
}
