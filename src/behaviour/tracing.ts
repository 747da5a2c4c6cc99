import { subscribe } from 'node:diagnostics_channel'
import { debuglog } from 'node:util'
import { channelName, EVENT_TYPES, type ProcessEventType } from './channels.js'
import { eventText } from './event-text.js'
import type { PublishedEvent } from './process-event.js'

/**
 * Which types a value of `DEBUG` names, in the syntax of the package `debug`: patterns apart by commas or blanks, `*` for
 * anything, `-` before one that is left out. `sansocket` alone is all of them.
 */
export function typesInDebug(value: string): readonly ProcessEventType[] {
  const patterns = value.split(/[\s,]+/).filter(pattern => pattern !== '')
  const out = patterns.filter(pattern => pattern.startsWith('-')).map(pattern => pattern.slice(1))
  const wanted = patterns.filter(pattern => !pattern.startsWith('-'))
  return EVENT_TYPES.filter(type => named(type, wanted) && !named(type, out))
}

function named(type: ProcessEventType, by: readonly string[]): boolean {
  return by.some(pattern => fits(pattern, 'sansocket') || fits(pattern, channelName(type)))
}

/** Whether a name fits a pattern in which `*` is anything. Each part is looked for once: linear for any pattern. */
function fits(pattern: string, name: string): boolean {
  const parts = pattern.split('*')
  if (parts.length === 1) return pattern === name
  const first = parts[0]
  const last = parts[parts.length - 1]
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last))
    return false
  let at = first.length
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return at <= name.length - last.length
}

/** Prints to standard error. Unlike a write to the stream itself, it survives that nobody reads there any more. */
export const printLine = (line: string): void => {
  console.error(line)
}

let asked = false

/**
 * Prints the events of all processes that `DEBUG` or `NODE_DEBUG` ask for, from the first process on. It looks once; that
 * the module is imported does nothing.
 *
 * @internal
 */
export function traceByEnvironment(): void {
  if (asked) return
  asked = true
  for (const type of wantedTypes())
    subscribe(channelName(type), message => printLine(eventText(message as PublishedEvent)))
}

function wantedTypes(): readonly ProcessEventType[] {
  try {
    if (debuglog('sansocket').enabled) return EVENT_TYPES
    return typesInDebug(process.env['DEBUG'] ?? '')
  } catch {
    // A runtime in which the environment may not be read.
    return []
  }
}
