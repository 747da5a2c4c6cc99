import type { Test } from 'tap'
import {
  type DisconnectStatus,
  HandshakeError,
  type Message,
  type Process,
  start as startProcess,
  type StartOptions,
} from '../../src/index.js'
import { failure, turn, withResolvers } from '../support/servers.js'
import { CUT_TEXT, type Data, describe, SAMPLES, type StartServer, type Tls } from './conversation.js'

/** Our `start()` against a server of somebody else. */
export const testAsProcess = async (t: Test, start: StartServer, tls: Tls | null): Promise<void> => {
  const server = await start(t, tls)
  const options: StartOptions = tls === null ? {} : { tls: { ca: tls.ca } }

  await t.test('a process sends every message, by each way there is, and gets it back', async t => {
    const got: string[] = []
    const all = withResolvers<void>()
    const process = await startProcess(
      `${server.url}/echo`,
      {
        init: () => 0,
        handleConnect: () => ({ reply: SAMPLES.map(frameOf) }),
        handleCast: (data: Data) => ({ reply: frameOf(data) }),
        handleFrame: ({ data }: Message, count) => {
          got.push(describe(data))
          if (count + 1 === SAMPLES.length * 3) all.resolve()
          return { state: count + 1 }
        },
      },
      options,
    )
    for (const sample of SAMPLES) await process.send(frameOf(sample))
    for (const sample of SAMPLES) process.cast(sample)
    await all.promise
    t.same(got, [...SAMPLES, ...SAMPLES, ...SAMPLES].map(describe))
    t.equal(await process.getState(), SAMPLES.length * 3)
    t.match(await process.stop(), { type: 'stop', normal: true, unsent: [] })
    t.match(await server.nextClose(), { code: 1000 })
  })

  await t.test('a process streams a message, and answers pings', async t => {
    const { promise, resolve } = withResolvers<string>()
    const process = await startProcess(
      `${server.url}/fragments`,
      { handleFrame: ({ data }) => resolve(describe(data)) },
      { ...options, keepalive: false },
    )
    await process.send({ type: 'text', data: parts() })
    t.equal(await promise, describe(CUT_TEXT))
    await process.stop()
    await server.nextClose()

    const pinged = withResolvers<string>()
    const pings = await startProcess(
      `${server.url}/ping`,
      {
        handleFrame: ({ data }) => pinged.resolve(String(data)),
        handlePong: (_payload, _state, { rttMs, solicited }) => {
          if (solicited && rttMs !== null && rttMs >= 0) ponged.resolve()
        },
      },
      options,
    )
    const ponged = withResolvers<void>()
    t.equal(await pinged.promise, 'the pong is there')
    await pings.send({ type: 'ping', data: 'hello' })
    await ponged.promise
    t.ok(pings.rttMs !== null)
    await pings.stop()
    await server.nextClose()
  })

  await t.test('a process sees with which code it was closed, and connects again', async t => {
    const seen: DisconnectStatus[] = []
    const reconnected = withResolvers<number>()
    const process: Process = await startProcess(
      { url: `${server.url}/close?code=4000&reason=bye` },
      {
        handleConnect: ({ reconnects }) => void (reconnects === 1 && reconnected.resolve(reconnects)),
        handleDisconnect: status => {
          seen.push(status)
          return { reconnect: { target: `${server.url}/echo` } }
        },
      },
      options,
    )
    await reconnected.promise
    t.match(seen, [
      { reason: { type: 'remote', code: 4000, text: 'bye', normal: false }, attempt: 1, wasClean: true },
    ])
    t.equal(seen.length, 1)
    await server.nextClose()
    t.match(await process.stop(undefined, { code: 4001, reason: 'done' }), { normal: true })
    t.same(await server.nextClose(), { code: 4001, reason: 'done' })
  })

  await t.test('a process that is refused says so', async t => {
    const error = await failure(startProcess(`${server.url}/refuse`, {}, options))
    t.ok(error instanceof HandshakeError)
    t.match(error, { code: 'WS_HANDSHAKE_STATUS', status: 401 })
  })
}

const frameOf = (data: Data): { type: 'text'; data: string } | { type: 'binary'; data: Uint8Array } =>
  typeof data === 'string' ? { type: 'text', data } : { type: 'binary', data }

async function* parts(): AsyncGenerator<string> {
  yield CUT_TEXT.slice(0, 10)
  await turn()
  yield CUT_TEXT.slice(10)
}
