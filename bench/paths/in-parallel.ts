import { performance } from 'node:perf_hooks'

/** Does a thing so many times, some at a time. @returns milliseconds. */
export async function inParallel(count: number, width: number, one: () => Promise<unknown>): Promise<number> {
  let left = count
  const start = performance.now()
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (left-- > 0) await one()
    }),
  )
  return performance.now() - start
}
