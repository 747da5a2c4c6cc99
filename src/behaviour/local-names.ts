import type { NameRegistry } from './names.js'
import type { AnyProcess } from './process.js'

const holders = new Map<unknown, AnyProcess>()

/** The names of this program. Every function is synchronous, so that of two who claim a name at once exactly one gets it. */
export const localNames: NameRegistry & {
  register(key: unknown, process: AnyProcess): boolean
  whereis(key: unknown): AnyProcess | null
} = {
  register(key, process) {
    if (holders.has(key)) return false
    holders.set(key, process)
    return true
  },
  unregister(key, process) {
    if (holders.get(key) === process) holders.delete(key)
  },
  whereis: key => holders.get(key) ?? null,
}
