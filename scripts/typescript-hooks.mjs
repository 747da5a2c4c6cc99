import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'esbuild'

/** Sources name each other by what they are compiled to. */
export async function resolve(specifier, context, next) {
  const source = /^\.{1,2}\/.*\.js$/.test(specifier) && context.parentURL?.endsWith('.ts')
  if (!source) return next(specifier, context)
  try {
    return await next(specifier.replace(/\.js$/, '.ts'), context)
  } catch {
    return next(specifier, context)
  }
}

export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context)
  const text = readFileSync(fileURLToPath(url), 'utf8')
  const options = { loader: 'ts', format: 'esm', target: 'es2023', sourcemap: 'inline', sourcefile: url }
  return { format: 'module', source: transformSync(text, options).code, shortCircuit: true }
}
