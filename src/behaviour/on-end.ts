// Strategy: nobody can be taken off a promise. So there is one reaction for each child, whoever waits, and the others are in
// a set that they leave: a process that lives for years does not keep every supervisor that was ever linked to it.
import type { Child } from './child-spec.js'
import type { EndReason } from './end-reason.js'
import { endOf } from './stop-child.js'

type Listener = (reason: EndReason) => void

const waiting = new WeakMap<Child, Set<Listener>>()

/**
 * Calls `listener` when the child has ended, soon where it has already.
 *
 * @returns a function that takes the listener back.
 */
export function onEnd(child: Child, listener: Listener): () => void {
  const listeners = waiting.get(child) ?? watch(child)
  // One function may wait twice.
  const own: Listener = reason => listener(reason)
  listeners.add(own)
  return () => void listeners.delete(own)
}

function watch(child: Child): Set<Listener> {
  const listeners = new Set<Listener>()
  waiting.set(child, listeners)
  void endOf(child).then(reason => {
    waiting.delete(child)
    for (const listener of listeners) listener(reason)
  })
  return listeners
}
