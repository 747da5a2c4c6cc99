// One event of each type, a process that is none, and a way to publish.
import { HandshakeError } from '../../src/index.js'
import type { ProcessEventType } from '../../src/behaviour/channels.js'
import type { DisconnectStatus } from '../../src/behaviour/disconnect-status.js'
import type { EndReason } from '../../src/behaviour/end-reason.js'
import { eventText } from '../../src/behaviour/event-text.js'
import { EventStream } from '../../src/behaviour/events.js'
import type { AnyProcess } from '../../src/behaviour/process.js'
import type { ProcessEvent, PublishedEvent } from '../../src/behaviour/process-event.js'
import { ConnectionError } from '../../src/transport/connection-error.js'
import { VirtualClock } from './virtual-clock.js'

/** It only has to be somebody. */
export const fakeProcess = { name: 'feed', phase: 'open' } as unknown as AnyProcess

/** A stream of events in virtual time. */
export function fakeStream(id = 'feed'): { stream: EventStream; clock: VirtualClock } {
  const clock = new VirtualClock()
  return { stream: new EventStream(fakeProcess, id, clock), clock }
}

/** An event as somebody might publish it who masks nothing. */
export const raw = (event: ProcessEvent, id = 'feed'): PublishedEvent => ({
  process: fakeProcess,
  id,
  at: 1004,
  elapsedMs: 4,
  event,
})

/** The line of an event. */
export const line = (event: ProcessEvent, id?: string): string => eventText(raw(event, id))

/** How a connection may have been lost. */
export const statusOf = (more: Partial<DisconnectStatus> = {}): DisconnectStatus => ({
  reason: { type: 'remote', normal: false, code: 4001, text: 'bye' },
  phase: 'open',
  sent: null,
  received: { code: 4001, reason: 'bye' },
  wasClean: true,
  attempt: 1,
  httpResponse: null,
  error: null,
  target: 'ws://example.com/feed',
  unsent: ['a', 'b'],
  ...more,
})

/** How a process may have ended. */
export const reasonOf = (more: Partial<EndReason> = {}): EndReason => ({
  type: 'remote',
  normal: true,
  code: 1000,
  text: '',
  error: null,
  value: undefined,
  unsent: [],
  ...more,
})

/** What a server may refuse with. */
export const refused = (headers: readonly (readonly [string, string])[]): HandshakeError =>
  new HandshakeError('WS_HANDSHAKE_STATUS', {
    response: { status: 401, reason: 'No', headers, body: new Uint8Array() },
  })

const url = 'wss://example.com/feed'
const lost = new ConnectionError('WS_CONNECTION_LOST', 'example.com:443')

/** One event of each type, and what is said of it. */
export const SAMPLES: Readonly<Record<ProcessEventType, readonly [ProcessEvent, string]>> = {
  start: [{ type: 'start' }, ''],
  attempt: [{ type: 'attempt', attempt: 2, url }, ` 2 ${url}`],
  'domain-lookup': [
    { type: 'domain-lookup', hostname: 'example.com', addresses: ['192.0.2.1', '2001:db8::1'], ms: 1.25 },
    ' example.com -> 192.0.2.1 2001:db8::1 1.3 ms',
  ],
  connect: [
    { type: 'connect', peer: 'example.com:443', remoteAddress: '192.0.2.1', ms: 3 },
    ' example.com:443 at 192.0.2.1 3 ms',
  ],
  proxy: [
    { type: 'proxy', proxy: 'http://proxy:3128', peer: 'example.com:443', ms: 5 },
    ' http://proxy:3128 -> example.com:443 5 ms',
  ],
  tls: [
    { type: 'tls', peer: 'example.com:443', protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', ms: 8 },
    ' example.com:443 TLSv1.3 TLS_AES_256_GCM_SHA384 8 ms',
  ],
  request: [
    {
      type: 'request',
      url,
      headers: [
        ['Host', 'example.com'],
        ['Authorization', 'Bearer abc'],
        ['User-Agent', 'a "b"'],
      ],
    },
    ` ${url} {Host=example.com Authorization="Bearer ***" User-Agent="a \\"b\\""}`,
  ],
  response: [
    { type: 'response', url, status: 101, headers: [['Upgrade', 'websocket']], ms: 12 },
    ` 101 ${url} {Upgrade=websocket} 12 ms`,
  ],
  redirect: [{ type: 'redirect', from: url, to: `${url}/2`, status: 302 }, ` 302 ${url} -> ${url}/2`],
  open: [
    { type: 'open', url, subprotocol: 'chat', attempt: 1, reconnects: 0 },
    ` ${url} subprotocol=chat attempt=1 reconnects=0`,
  ],
  'frame-in': [{ type: 'frame-in', frame: { type: 'text', data: 'grüße' } }, ' text 7 B "grüße"'],
  'frame-out': [
    { type: 'frame-out', frame: { type: 'binary', data: Uint8Array.of(0, 255) } },
    ' binary 2 B 00ff',
  ],
  'ping-in': [{ type: 'ping-in', data: Uint8Array.of(1) }, ' 1 B 01'],
  'pong-in': [{ type: 'pong-in', data: new Uint8Array() }, ' 0 B'],
  'keepalive-ping': [{ type: 'keepalive-ping' }, ''],
  'keepalive-miss': [{ type: 'keepalive-miss', missed: 2 }, ' 2'],
  'close-in': [{ type: 'close-in', frame: { code: 1001, reason: 'away' } }, ' 1001 "away"'],
  'close-out': [{ type: 'close-out', frame: { code: 1005, reason: '' } }, ' without a code'],
  cast: [{ type: 'cast', message: { n: [1] } }, ' { n: [ 1 ] }'],
  call: [{ type: 'call', message: 'sum' }, ' "sum"'],
  info: [{ type: 'info', message: undefined }, ' undefined'],
  drop: [{ type: 'drop', frame: { type: 'text', data: 'late' } }, ' text 4 B "late"'],
  drain: [{ type: 'drain' }, ''],
  disconnect: [
    { type: 'disconnect', status: statusOf({ error: lost }) },
    ' remote 4001 "bye" phase=open attempt=1 target=ws://example.com/feed unsent=2 ConnectionError WS_CONNECTION_LOST "connection to example.com:443 lost without a Close frame"',
  ],
  reconnect: [{ type: 'reconnect', delayMs: 500, attempt: 2 }, ' attempt 2 in 500 ms'],
  'behaviour-change': [{ type: 'behaviour-change', version: 2 }, ' 2'],
  'callback-error': [
    { type: 'callback-error', callback: 'handleFrame', error: new TypeError('boom') },
    ' handleFrame TypeError "boom"',
  ],
  terminate: [{ type: 'terminate', reason: reasonOf({ value: 'done' }) }, ' remote 1000 "done" normal=true'],
}
