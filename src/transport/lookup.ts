import type { LookupAddress } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { ConnectionError } from './connection-error.js'
import { ipFamily, type IpFamily } from './ip-family.js'

/**
 * Asks for all addresses of a name, as a step for `runPhase`. A lookup cannot be taken back: its late answer is ignored.
 *
 * @param family - 4 or 6 to keep only those, 0 for both.
 */
export const startLookup =
  (hostname: string, family: IpFamily, lookup: LookupFunction) =>
  (
    resolve: (addresses: readonly LookupAddress[]) => void,
    reject: (error: ConnectionError) => void,
  ): (() => void) => {
    const fail = (cause: unknown): void => reject(new ConnectionError('WS_DNS_FAILED', hostname, { cause }))
    try {
      lookup(hostname, { all: true, family }, (error, answer) => {
        if (error) {
          fail(error)
          return
        }
        const addresses = usable(answer, family)
        if (addresses.length > 0) resolve(addresses)
        else fail(new Error('it gave no address that can be used'))
      })
    } catch (error) {
      fail(error)
    }
    return () => {}
  }

/** A lookup function of the user's may ignore `all` and `family`. */
const usable = (answer: string | LookupAddress[], family: IpFamily): LookupAddress[] =>
  (Array.isArray(answer) ? answer.map(one => one.address) : [answer])
    .map(address => ({ address, family: ipFamily(address) }))
    .filter(one => one.family !== 0 && (family === 0 || one.family === family))

/**
 * Puts addresses into the order in which they are tried: the families take turns, beginning with that of the first address,
 * and within a family the order of the lookup is kept (RFC 8305 section 4).
 */
export const interleaveFamilies = (addresses: readonly LookupAddress[]): LookupAddress[] => {
  const first = addresses.filter(one => one.family === addresses[0]?.family)
  const second = addresses.filter(one => one.family !== addresses[0]?.family)
  const longer = Math.max(first.length, second.length)
  return Array.from({ length: longer }, (_, i) => [
    ...first.slice(i, i + 1),
    ...second.slice(i, i + 1),
  ]).flat()
}
