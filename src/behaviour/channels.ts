import { type Channel, channel } from 'node:diagnostics_channel'
import type { ProcessEvent } from './process-event.js'

/** What kind of event it is; also the end of the name of its channel, `sansocket:<type>`. Names are API. */
export type ProcessEventType = ProcessEvent['type']

// A record, so that the compiler notices a type that is missing here.
const TYPES: Readonly<Record<ProcessEventType, true>> = {
  start: true,
  attempt: true,
  'domain-lookup': true,
  connect: true,
  proxy: true,
  tls: true,
  request: true,
  response: true,
  redirect: true,
  open: true,
  'frame-in': true,
  'frame-out': true,
  'ping-in': true,
  'pong-in': true,
  'keepalive-ping': true,
  'keepalive-miss': true,
  'close-in': true,
  'close-out': true,
  cast: true,
  call: true,
  info: true,
  drop: true,
  drain: true,
  disconnect: true,
  reconnect: true,
  'behaviour-change': true,
  'callback-error': true,
  terminate: true,
}

/** Every type of event, about in the order of a life. */
export const EVENT_TYPES = Object.keys(TYPES) as readonly ProcessEventType[]

/** The name of the channel of a type. */
export const channelName = (type: ProcessEventType): string => `sansocket:${type}`

/** The channels themselves. Node holds them weakly; that they are held here keeps a subscription from getting lost. */
export const CHANNELS = Object.fromEntries(
  EVENT_TYPES.map(type => [type, channel(channelName(type))]),
) as Readonly<Record<ProcessEventType, Channel>>
