import type { Test } from 'tap'

/** The warnings of this library from now on, for as long as the test runs; nobody else prints them. */
export function watchWarnings(t: Test): (Error & { readonly code?: string })[] {
  const found: (Error & { readonly code?: string })[] = []
  const emitWarning = process.emitWarning.bind(process)
  process.emitWarning = ((message: string, options: { readonly type?: string; readonly code?: string }) => {
    if (options?.type === 'SansocketWarning')
      found.push(Object.assign(new Error(message), { code: options.code! }))
    else emitWarning(message, options as never)
  }) as typeof process.emitWarning
  t.teardown(() => {
    process.emitWarning = emitWarning
  })
  return found
}
