import { UsageError } from '../protocol/index.js'
import { requireCount } from './require-count.js'

/** How many connections there are, may be, and were turned away. */
export interface PoolStatistics {
  readonly count: number
  readonly max: number
  /** Since the server began. */
  readonly rejected: number
}

/** Counts connections, in all and by pool, and says when there are enough. */
export class Pools {
  readonly #all: Pool
  readonly #pools = new Map<string, Pool>()

  /** @throws UsageError `WS_BAD_OPTION`. */
  constructor(max: number, pools: Readonly<Record<string, number>>) {
    this.#all = new Pool(requireCount('maxConnections', max))
    for (const [name, limit] of Object.entries(pools)) {
      this.#pools.set(name, new Pool(requireCount(`pools.${name}`, limit)))
    }
  }

  /** True while one more fits in at all; for before it is known where it belongs. */
  get room(): boolean {
    return this.#all.room
  }

  /** One more. @returns false when there are enough. @throws UsageError for a pool that there is not. */
  enter(name: string | undefined): boolean {
    const pools = this.#with(name)
    const room = pools.every(pool => pool.room)
    for (const pool of pools) {
      if (room) pool.count++
      else if (!pool.room) pool.rejected++
    }
    return room
  }

  /** One of those that have entered is gone. */
  leave(name: string | undefined): void {
    for (const pool of this.#with(name)) pool.count--
  }

  #with(name: string | undefined): readonly Pool[] {
    return name === undefined ? [this.#all] : [this.#all, this.pool(name)]
  }

  /** Turned away before it was known where it belongs. */
  reject(): void {
    this.#all.rejected++
  }

  /** @param name - undefined for all of them together. @throws UsageError `WS_BAD_OPTION`. */
  pool(name: string | undefined): Pool {
    if (name === undefined) return this.#all
    const pool = this.#pools.get(name)
    if (pool === undefined) throw new UsageError('WS_BAD_OPTION', `there is no pool ${JSON.stringify(name)}`)
    return pool
  }
}

/** One limit and its count. */
export class Pool {
  count = 0
  rejected = 0
  #max: number

  constructor(max: number) {
    this.#max = max
  }

  get max(): number {
    return this.#max
  }

  /** Who is inside stays. @throws UsageError `WS_BAD_OPTION`. */
  set max(max: number) {
    this.#max = requireCount('max', max)
  }

  get room(): boolean {
    return this.count < this.#max
  }

  get statistics(): PoolStatistics {
    return { count: this.count, max: this.#max, rejected: this.rejected }
  }
}
