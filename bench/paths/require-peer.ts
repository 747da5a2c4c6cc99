import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

// From `build/bench/paths/` back to the folder that has them.
const require = createRequire(fileURLToPath(new URL('../../../bench/package.json', import.meta.url)))

/** Loads one of those that we compare with. */
export const requirePeer = (name: string): unknown => require(name) as unknown
