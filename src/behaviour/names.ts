// Strategy: three kinds of names, one way through. `locate` turns each into a registry and a key, the local ones too, so
// that claiming and finding need not know which kind they deal with. A local name is claimed and found synchronously, a
// name of another registry as fast as that registry is.
import { inspect } from 'node:util'
import { UsageError } from '../protocol/index.js'
import { localNames } from './local-names.js'
import type { AnyProcess } from './process.js'
import { ProcessError } from './process-error.js'

/**
 * A registry of any kind: where the names of `{ via }` and `{ global }` live. Each function may be asynchronous.
 */
export interface NameRegistry {
  /** Gives the name to the process. @returns false when another process has it. */
  register(key: unknown, process: AnyProcess): boolean | Promise<boolean>
  /** Takes the name back, if this process still has it. */
  unregister(key: unknown, process: AnyProcess): unknown
  /** Who has the name. */
  whereis(key: unknown): AnyProcess | null | undefined | Promise<AnyProcess | null | undefined>
}

/** A name that another registry knows. */
export type RegistryName =
  { readonly via: NameRegistry; readonly key: unknown } | { readonly global: unknown }

/** A name: local to this program, known to a registry of yours, or to the cluster's. */
export type ProcessName = string | RegistryName

let globalRegistry: NameRegistry | null = null

/**
 * Says where names of the form `{ global: key }` live, for the whole program; `null` for nowhere, as it is at first.
 * Processes that have such a name already keep it where they claimed it.
 *
 * @throws UsageError `WS_BAD_OPTION` for what is no registry.
 */
export function setGlobalRegistry(registry: NameRegistry | null): void {
  if (registry !== null) requireRegistry(registry)
  globalRegistry = registry
}

/** The name as text, for messages: `feed`, `via:feed`, `global:feed`. */
export function showName(name: ProcessName): string {
  if (typeof name === 'string') return name
  return 'via' in name ? `via:${showKey(name.key)}` : `global:${showKey(name.global)}`
}

/** Whether this is a name, and not a process. */
export function isName(ref: unknown): ref is ProcessName {
  if (typeof ref === 'string') return true
  return typeof ref === 'object' && ref !== null && ('via' in ref || 'global' in ref)
}

/** @internal Where a name lives. */
export interface NamePlace {
  readonly registry: NameRegistry
  readonly key: unknown
}

/**
 * @internal Finds out where a name lives.
 *
 * @throws ProcessError `WS_NO_CLUSTER`; UsageError `WS_BAD_OPTION` for what is no name.
 */
export function locate(name: ProcessName): NamePlace {
  if (!isName(name) || name === '') {
    throw badOption(
      `a name is a text, { global: key } or { via: registry, key }, and not ${inspect(name, { depth: 0 })}`,
    )
  }
  if (typeof name === 'string') return { registry: localNames, key: name }
  if ('via' in name) return { registry: requireRegistry(name.via), key: name.key }
  if (globalRegistry !== null) return { registry: globalRegistry, key: name.global }
  throw new ProcessError(
    'WS_NO_CLUSTER',
    `${showName(name)} needs a registry that spans the cluster: ` +
      'call setGlobalRegistry(registry) once, before the first process with such a name is started',
  )
}

function requireRegistry(registry: NameRegistry): NameRegistry {
  const functions = ['register', 'unregister', 'whereis'] as const
  if (functions.every(one => typeof registry?.[one] === 'function')) return registry
  throw badOption('a registry of names is an object with the functions register, unregister and whereis')
}

function showKey(key: unknown): string {
  return typeof key === 'string'
    ? key
    : inspect(key, { depth: 1, breakLength: Infinity, maxStringLength: 40 })
}

const badOption = (message: string): UsageError => new UsageError('WS_BAD_OPTION', message)
