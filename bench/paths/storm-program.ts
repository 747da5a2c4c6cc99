// Strategy: clients that want to be connected always, in a process of their own. Each attempt is written down when it begins.
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { start } from 'sansocket'
import { requirePeer } from './require-peer.js'

/** What became of a server that went away and came back. */
export interface Storm {
  /** Attempts to connect in the worst tenth of a second. */
  readonly worst: number
  /** All of them. */
  readonly attempts: number
  /** Seconds from when it was gone until all had a connection again. */
  readonly seconds: number
}

interface WebSocket {
  on(event: string, listener: () => void): this
}

const BUCKET_MS = 100
/** What those who write it by hand wait. */
const BY_HAND_MS = 1000

const [, , kind, port, count] = process.argv
const url = `ws://127.0.0.1:${port}/`
const total = Number(count)
const attempts: number[] = []
let open = 0
let goneAt = 0
let told = false

function opened(): void {
  open++
  if (open < total) return
  if (!told) {
    told = true
    process.send!('ready')
    return
  }
  const times = attempts.filter(at => at >= goneAt)
  const buckets = new Map<number, number>()
  for (const at of times) {
    const bucket = Math.floor((at - goneAt) / BUCKET_MS)
    buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1)
  }
  const worst = Math.max(...buckets.values())
  process.send!({
    worst,
    attempts: times.length,
    seconds: (performance.now() - goneAt) / 1000,
  } satisfies Storm)
}

function lost(): void {
  open--
  if (goneAt === 0) goneAt = performance.now()
}

/** A client as many write it: one second after it was lost, or could not be opened, it is tried again. */
function byHand(Socket: new (url: string) => WebSocket): void {
  attempts.push(performance.now())
  let isOpen = false
  const socket = new Socket(url)
  socket.on('open', () => {
    isOpen = true
    opened()
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    if (isOpen) lost()
    setTimeout(() => byHand(Socket), BY_HAND_MS)
  })
}

if (kind === 'ws') {
  const { WebSocket: Socket } = requirePeer('ws') as { WebSocket: new (url: string) => WebSocket }
  for (let i = 0; i < total; i++) byHand(Socket)
} else if (kind === 'sansocket') {
  for (let i = 0; i < total; i++) {
    void start(
      () => {
        attempts.push(performance.now())
        return url
      },
      {
        init: () => null,
        handleConnect: opened,
        handleDisconnect: ({ phase }) => {
          if (phase === 'open') lost()
        },
      },
      { async: true, reconnect: true, keepalive: false },
    )
  }
}
process.once('disconnect', () => process.exit())
