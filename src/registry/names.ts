import { inspect } from 'node:util'
import { RegistryError } from './registry-error.js'

/** Between a scope and what is in it: no text that somebody chose can have it. */
const SEPARATOR = '\0'

/** A name or group with its scope. @throws RegistryError `WS_REGISTRY_BAD_NAME`. */
export function scoped(scope: string, name: unknown): string {
  if (typeof name === 'string' && name !== '' && !name.includes(SEPARATOR)) return scope + name
  throw new RegistryError('WS_REGISTRY_BAD_NAME', `a name is a text without NUL, and not ${inspect(name)}`)
}

/** The scope within a scope. @throws RegistryError `WS_REGISTRY_BAD_NAME`. */
export function subscope(scope: string, name: unknown): string {
  return scoped(scope, name) + SEPARATOR
}

/** The key of `{ via }` and `{ global }`, which may be anything that has a text of its own. @throws RegistryError. */
export function keyText(key: unknown): string {
  if (typeof key === 'string') return `text ${key}`
  if (typeof key === 'number' || typeof key === 'bigint' || typeof key === 'boolean')
    return `${typeof key} ${key}`
  try {
    const text = JSON.stringify(key)
    if (typeof text === 'string') return `json ${text}`
  } catch {
    // Said below.
  }
  throw new RegistryError('WS_REGISTRY_BAD_NAME', `${inspect(key, { depth: 0 })} cannot be a key`)
}
