// Strategy: who is in the tables. What other runtimes bring is there when they are installed, in `bench/runtimes`.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ours } from '../report.js'
import type { Entry } from './contestant.js'

/** As tables name them. */
export const names = {
  raw: 'raw socket',
  ws: 'ws + add-ons',
  /** The behaviour layer; beside `ours`. */
  behaviours: `${ours} start()`,
} as const

const noAddOns = { WS_NO_BUFFER_UTIL: '1', WS_NO_UTF_8_VALIDATE: '1' }

const runtimes = fileURLToPath(new URL('../../../bench/runtimes/node_modules/', import.meta.url))

/** The commands of other runtimes that are installed. */
export const otherRuntimes: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  Object.entries({
    'Node 22': [`${runtimes}node22/bin/node`],
    'Node 24': [`${runtimes}node24/bin/node`],
    'Node 26': [`${runtimes}node26/bin/node`],
    Bun: [`${runtimes}.bin/bun`],
    Deno: [`${runtimes}.bin/deno`, 'run', '--allow-all', '--quiet'],
  }).filter(([, [file]]) => existsSync(file)),
)

const raw: Entry = { name: names.raw, library: 'raw' }
const ws: Entry = { name: names.ws, library: 'ws' }
const sansocket: Entry = { name: ours, library: 'sansocket' }
const behaviours: Entry = { name: names.behaviours, library: 'behaviours' }

/** Those that matter most. */
export const few: readonly Entry[] = [raw, ws, sansocket, behaviours]

/** Everybody who can be a client. */
export const clients: readonly Entry[] = [
  ...few,
  { name: 'ws alone', library: 'ws', env: noAddOns },
  { name: 'undici', library: 'undici' },
  { name: 'websocket', library: 'websocket' },
  { name: 'faye-websocket', library: 'faye' },
  ...['Bun', 'Deno', 'Node 26']
    .filter(name => name in otherRuntimes)
    .map(name => ({ name: `${name}'s own`, library: 'global', runtime: otherRuntimes[name] })),
]

/** Everybody who can serve. */
export const servers: readonly Entry[] = [...few, { name: 'ws alone', library: 'ws', env: noAddOns }]
