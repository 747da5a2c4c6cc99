// Strategy: what can be done to a process on another node, by its name. A handle here, and at the other end the same done to
// the process. As with each use of a name, it is done to whoever has the name then.
import type { EndReason } from '../../behaviour/end-reason.js'
import { NoProcessError, ProcessError } from '../../behaviour/process-error.js'
import type { NamedProcess } from '../../behaviour/process-ref.js'
import type { AnyProcess, CallOptions, StopOptions } from '../../behaviour/process.js'
import { RegistryError } from '../registry-error.js'
import { type Body, type Operation, type Reply, SILENCE } from './envelope.js'
import { decodeMessage, encodeMessage, type Json } from './message-codec.js'
import { plainError, type PlainError, plainReason, revivedError, revivedReason } from './remote-error.js'

/**
 * Stands for a process on another node. `phase` is not known here: it is `open` until the process was stopped through this
 * handle, and only then does `ended` settle.
 */
export type RemoteProcess = AnyProcess & Pick<NamedProcess, 'info' | 'cast' | 'call'>

/** Asks whoever has a name. @returns null when nobody has it. @throws (rejects) RegistryError. */
export type Ask = (body: Extract<Body, { type: 'ask' }>, extraMs?: number) => Promise<Reply | null>

/** As of a process here. */
const CALL_TIMEOUT_MS = 5000
const STOP_TIMEOUT_MS = 10_000

/** JSON has no Infinity; 25 days are as good. */
const finite = (ms: number): number => Math.min(ms, 0x7fffffff)

/** @param to - the name as it travels. @param shown - the name as text. */
export function remoteProcess(to: string, shown: string, ask: Ask): RemoteProcess {
  let stopped = false
  let resolve!: (reason: EndReason) => void
  const ended = new Promise<EndReason>(done => (resolve = done))
  const wait = async (
    operation: Operation,
    args: readonly unknown[],
    extraMs = 0,
  ): Promise<Json | undefined> => {
    const reply = await ask({ type: 'ask', to, operation, message: encodeMessage(args) }, extraMs)
    if (reply === null) throw new NoProcessError(shown, null)
    if (reply === SILENCE) {
      throw new RegistryError('WS_REGISTRY_UNREACHABLE', `the node of ${shown} did not answer in time`)
    }
    if (reply.error !== undefined) throw revivedError(reply.error)
    if (reply.count === 0) throw new NoProcessError(shown, null)
    return reply.value
  }
  const tell = (operation: Operation, message: unknown): void => {
    // What cannot be carried is thrown here; whether it arrives is not known.
    const encoded = encodeMessage([message])
    ask({ type: 'ask', to, operation, message: encoded }).catch(() => {})
  }
  return {
    name: shown,
    get phase() {
      return stopped ? 'ended' : 'open'
    },
    ended,
    info: message => tell('info', message),
    cast: message => tell('cast', message),
    call: async (message, { timeoutMs = CALL_TIMEOUT_MS }: CallOptions = {}) =>
      decodeMessage((await wait('call', [message, finite(timeoutMs)], timeoutMs)) ?? null),
    send: async frame => void (await wait('send', [frame])),
    write: () => {
      throw new ProcessError('WS_NO_CALLBACK', `${shown} runs on another node and takes no write; use send`)
    },
    connect: async () => void (await wait('connect', [])),
    stop: async (reason?: unknown, { code, reason: text, timeoutMs = STOP_TIMEOUT_MS }: StopOptions = {}) => {
      const why = reason instanceof Error ? { error: plainError(reason) } : { value: reason }
      const value = await wait('stop', [why, { code, reason: text, timeoutMs: finite(timeoutMs) }], timeoutMs)
      const end = revivedReason(value ?? null)
      stopped = true
      resolve(end)
      return end
    },
  }
}

/** Does to a process here what was asked for elsewhere. */
export async function carryOut(
  process: NamedProcess,
  operation: Operation,
  message: Json,
): Promise<Omit<Reply, 'type'>> {
  try {
    const value = await perform(process, operation, decodeMessage(message) as readonly unknown[])
    return value === undefined ? { count: 1 } : { count: 1, value }
  } catch (error) {
    return { count: 0, error: plainError(error) }
  }
}

async function perform(
  process: NamedProcess,
  operation: Operation,
  [first, second]: readonly unknown[],
): Promise<Json | undefined> {
  switch (operation) {
    case 'info':
      process.info(first)
      return undefined
    case 'cast':
      process.cast(first)
      return undefined
    case 'call':
      return encodeMessage(await process.call(first, { timeoutMs: second as number }))
    case 'send':
      await process.send(first as string)
      return undefined
    case 'connect':
      await process.connect()
      return undefined
    case 'stop': {
      const why = first as { readonly error?: PlainError; readonly value?: unknown }
      const reason = why.error === undefined ? why.value : revivedError(why.error)
      return plainReason(await process.stop(reason, second as StopOptions))
    }
    default:
      throw new RegistryError('WS_REGISTRY_BAD_MESSAGE', 'no such operation')
  }
}
