import t from 'tap'
import { testAsClient, TLS } from './as-client.js'
import { testAsProcess } from './as-process.js'
import { testAsServer } from './as-server.js'
import {
  attachedProcesses,
  compressingAttached,
  compressingProcesses,
  listeningProcesses,
} from './our-processes.js'
import { attached, listening } from './our-server.js'
import { findPython, startPython } from './python.js'

const python = findPython()
const required = process.env['CI'] === 'true' || process.env['SANSOCKET_REQUIRE_PEERS'] === '1'

if (python === null && !required) {
  t.plan(0, 'no Python with the websockets package here: scripts/ci/python-peers.sh makes one')
} else if (python === null) {
  t.fail('no Python with the websockets package here, and CI needs it: scripts/ci/python-peers.sh makes one')
} else {
  t.comment(`websockets ${python.version}, ${python.command}`)
  const { start, client } = startPython(t, python.command)

  t.test('our client talks to a Python websockets server over TCP', t => testAsClient(t, start, null))
  t.test('our client talks to a Python websockets server over TLS', t => testAsClient(t, start, TLS))

  t.test('our process talks to a Python websockets server over TCP', t => testAsProcess(t, start, null))
  t.test('our process talks to a Python websockets server over TLS', t => testAsProcess(t, start, TLS))

  t.test('a Python websockets client talks to listen() over TCP', t =>
    testAsServer(t, listening, client, null),
  )
  t.test('a Python websockets client talks to listen() over TLS', t =>
    testAsServer(t, listening, client, TLS),
  )
  t.test('a Python websockets client talks to attach() over TCP', t =>
    testAsServer(t, attached, client, null),
  )
  t.test('a Python websockets client talks to attach() over TLS', t => testAsServer(t, attached, client, TLS))

  for (const [name, start, tls] of [
    ['listen() over TCP', listeningProcesses, null],
    ['listen() over TLS', compressingProcesses, TLS],
    ['attach() over TCP', compressingAttached, null],
    ['attach() over TLS', attachedProcesses, TLS],
  ] as const) {
    t.test(`a Python websockets client talks to processes of ${name}`, t =>
      testAsServer(t, start, client, tls),
    )
  }

  t.test('a Python websockets client sees why it was refused', async t => {
    for (const start of [attached, attachedProcesses]) {
      const { url } = await start(t, null)
      t.match(await client.talk({ url: `${url}/refuse`, ca: null, actions: [] }), { refused: 401 })
    }
  })
}
