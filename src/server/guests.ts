// Strategy: several `attach()` on one `http.Server` see each upgrade all together, and so does whoever else listens for upgrades
// there. Exactly one of ours decides: the last that has the route and lets people in, else the last that has the route, which
// says that it goes (503: come back; a 404 would be for good). A path that nobody of ours knows is left to the others, or is a
// 404 when there are none.
import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import type { RequestHead } from '../handshake/index.js'
import { type NodeRequest, requestHead } from '../transport/listen.js'
import { swallowErrors } from '../transport/stream-events.js'

/** One `attach()` among others on the same server. */
export interface Guest {
  /** Whether a route takes this path. */
  knows(target: string): boolean
  /** True once nobody is let in any more. */
  closed(): boolean
  take(stream: Duplex, head: RequestHead, rest: Uint8Array): void
  /** @param before - see {@link writtenTo}: how much it was before anybody was told of the request. */
  leaveToOthers(stream: Duplex, before: number): void
}

/** The guests of one server. */
interface Party {
  readonly guests: Set<Guest>
  readonly first: (request: NodeRequest, stream: Duplex) => void
}

const parties = new WeakMap<EventEmitter, Party>()
/** What had been written to a stream when its request came; others may answer before it is our turn. */
const before = new WeakMap<Duplex, number>()

/** Bytes that were written to a stream, those that wait in it too. */
export function writtenTo(stream: Duplex): number {
  return (stream as { bytesWritten?: number }).bytesWritten ?? 0
}

function partyAt(http: EventEmitter): Party {
  const known = parties.get(http)
  if (known !== undefined) return known
  const party: Party = {
    guests: new Set(),
    first: (_, stream) => void before.set(stream, writtenTo(stream)),
  }
  http.prependListener('upgrade', party.first)
  parties.set(http, party)
  return party
}

/** Gives a guest its share of the upgrades. @returns a function that ends that. */
export function share(http: EventEmitter, guest: Guest): () => void {
  const { guests: all, first } = partyAt(http)
  const onUpgrade = (request: NodeRequest, stream: Duplex, rest: Uint8Array): void => {
    swallowErrors(stream)
    const head = requestHead(request)
    const known = [...all].filter(one => one.knows(head.target))
    const chosen = known.findLast(one => !one.closed()) ?? known.at(-1) ?? [...all][0]
    if (chosen !== guest) return
    if (known.length === 0 && http.listenerCount('upgrade') > all.size + 1) {
      guest.leaveToOthers(stream, before.get(stream) ?? writtenTo(stream))
    } else guest.take(stream, head, rest)
  }
  all.add(guest)
  http.on('upgrade', onUpgrade)
  return () => {
    all.delete(guest)
    http.off('upgrade', onUpgrade)
    if (all.size > 0) return
    http.off('upgrade', first)
    parties.delete(http)
  }
}
