// Strategy: the counters, each for a window of its own, since a counter costs some of what another one counts. Bytes of the heap are
// what was allocated and not what was kept: the young generation is so large that nothing is collected in a window, which V8's own
// list of collections proves, and the heap grows by exactly what was allocated. Objects are counted by `async_hooks`; writes where
// Node hands them to libuv, so one is counted for each system call that is tried.
import { createHook } from 'node:async_hooks'
import { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { GCProfiler, getHeapStatistics } from 'node:v8'
import { collect } from '../measure.js'
import type { CountName } from './scenarios.js'

/** Bytes allocated. */
export interface Allocated {
  readonly heap: number
  /** Memory of `ArrayBuffer`s, outside the heap. */
  readonly buffers: number
}

const TRIES = 8

/** Runs something, and tells what it allocated. */
export async function allocatedBy(run: () => Promise<void>): Promise<Allocated> {
  for (let i = 0; i < TRIES; i++) {
    // Memory of buffers that died is given back while the next collection begins.
    collect({ type: 'minor' })
    collect({ type: 'minor' })
    await turn()
    const profiler = new GCProfiler()
    profiler.start()
    const heapBefore = getHeapStatistics().used_heap_size
    const { arrayBuffers: buffersBefore } = process.memoryUsage()
    await run()
    const { arrayBuffers } = process.memoryUsage()
    const heap = getHeapStatistics().used_heap_size - heapBefore
    if (profiler.stop().statistics.length === 0) return { heap, buffers: arrayBuffers - buffersBefore }
  }
  throw new Error('the garbage was collected in each window: the young generation is too small for it')
}

const NAMES: Readonly<Record<string, CountName>> = {
  PROMISE: 'promises',
  Timeout: 'timers',
  TickObject: 'ticks',
  Microtask: 'microtasks',
}

/** What is made, by its name. */
export type Objects = Record<CountName, number>

/** Runs something, and counts what it makes and how often it writes. */
export async function objectsOf(run: () => Promise<void>): Promise<Objects> {
  const found: Objects = { heap: 0, buffers: 0, writes: 0, promises: 0, timers: 0, ticks: 0, microtasks: 0 }
  const hook = createHook({
    init(_, type) {
      const name = NAMES[type]
      if (name !== undefined) found[name]++
    },
  })
  const restore = watchWrites(() => found.writes++)
  hook.enable()
  await run()
  hook.disable()
  restore()
  return found
}

type Method = (this: unknown, ...args: unknown[]) => unknown

/** Calls `seen` for each write of a TCP socket. @returns a function that ends that. */
function watchWrites(seen: () => void): () => void {
  // It is given up before it has begun: only its handle is of use.
  const socket = new Socket().connect(1, '127.0.0.1')
  let { _handle: owner } = socket as unknown as { readonly _handle: object | null }
  socket.destroy()
  while (owner !== null && !Object.hasOwn(owner, 'writeBuffer'))
    owner = Object.getPrototypeOf(owner) as object | null
  if (owner === null)
    throw new Error('this Node has no handle with `writeBuffer`: writes must be counted otherwise')
  const methods = owner as Record<string, Method>
  const names = Object.getOwnPropertyNames(owner).filter(name => /^write(v|Buffer|.*String)$/.test(name))
  const originals = names.map(name => [name, methods[name]] as const)
  for (const [name, original] of originals) {
    methods[name] = function (...args) {
      seen()
      return original.apply(this, args)
    }
  }
  return () => {
    for (const [name, original] of originals) methods[name] = original
  }
}
