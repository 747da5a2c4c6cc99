// Strategy: what peers can make this thread do for a few bytes (engines that final blocks end, output far larger than its input)
// is counted, in microseconds as they were measured once, for all connections together. When a turn of the event loop has had
// its share, the next message waits for the next turn, and its connection is not read meanwhile. So nobody can hold up the
// others for longer than that; an honest stream of small messages never gets there within a chunk.
const TURN_US = 8000

let spent = 0

/** This turn costs so much more. */
export function spend(us: number): void {
  if (spent === 0) setImmediate(restart)
  spent += us
}

/** Whether the rest has to wait for another turn. */
export function isSpent(): boolean {
  return spent >= TURN_US
}

function restart(): void {
  spent = 0
}
