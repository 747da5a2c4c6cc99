// Strategy: the thread pool belongs to the whole process: name lookups and files wait in the same queue. So compression takes
// all of its threads but one (of one, that one), whatever the number of connections, and what comes on top waits here, where it can be taken
// back.

/** A piece of work: it calls `release` when it is done, once. */
export type Work = (release: () => void) => void

/** Does a limited number of works at a time, in order. */
export class WorkQueue {
  readonly #limit: number
  #running = 0
  #waiting = new Set<Work>()
  #listeners: (() => void)[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Works that wait, and those that are being done. */
  get size(): number {
    return this.#waiting.size + this.#running
  }

  /** Begins a work now or later. @returns a function that takes it back, as long as it has not begun. */
  add(work: Work): () => void {
    if (this.#running < this.#limit) this.#start(work)
    else this.#waiting.add(work)
    return () => void this.#waiting.delete(work)
  }

  /** Settles when the next work is done. For who must not go on before: a test that moves the time. */
  next(): Promise<void> {
    return new Promise(resolve => this.#listeners.push(resolve))
  }

  #start(work: Work): void {
    this.#running++
    let running = true
    const release = (): void => {
      if (!running) return
      running = false
      this.#running--
      for (const listener of this.#listeners.splice(0)) listener()
      const [next] = this.#waiting
      if (next === undefined) return
      this.#waiting.delete(next)
      this.#start(next)
    }
    try {
      work(release)
    } catch (error) {
      release()
      throw error
    }
  }
}

/** libuv's own default is 4. */
const threads = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4) || 4

/** The process's one queue for jobs of zlib. */
export const zlibWork: WorkQueue = new WorkQueue(Math.max(1, threads - 1))
