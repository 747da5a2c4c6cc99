import t from 'tap'

// First, before anything of it is loaded by another import.
const before = process.getActiveResourcesInfo().toSorted()
const main = await import('../../src/index.js')
const protocol = await import('../../src/protocol/index.js')
const handshake = await import('../../src/handshake/index.js')
const testing = await import('../../src/testing/index.js')

t.test('importing the package starts nothing', t => {
  t.strictSame(process.getActiveResourcesInfo().toSorted(), before)
  t.end()
})

// The names of src/protocol are in test/architecture.test.ts.
t.test('the main entry exports exactly these names', t => {
  t.strictSame(Object.keys(main).toSorted(), [
    'AbortError',
    'AlreadyStartedError',
    'BadResponseError',
    'CallTimeoutError',
    'CallingSelfError',
    'ChildStartError',
    'CloseCode',
    'ConnectionError',
    'FrameEncodeError',
    'HandshakeError',
    'Initial',
    'InvalidFrameError',
    'InvalidHeadError',
    'NoProcessError',
    'NotConnectedError',
    'PreparedMessage',
    'ProcessError',
    'ProtocolViolation',
    'RestartIntensityError',
    'UsageError',
    'attach',
    'call',
    'cast',
    'childSpec',
    'connect',
    'defineBehaviour',
    'eventText',
    'headerValue',
    'idle',
    'info',
    'listen',
    'once',
    'parseTarget',
    'reconnect',
    'refuse',
    'reply',
    'send',
    'setGlobalRegistry',
    'start',
    'startSupervisor',
    'stop',
    'systemClock',
    'whereis',
  ])
  t.end()
})

t.test('the handshake entry exports exactly these names', t => {
  t.strictSame(Object.keys(handshake).toSorted(), [
    'HandshakeError',
    'HeadReader',
    'InvalidHeadError',
    'ResponseBody',
    'acceptKey',
    'encodeAccept',
    'encodeConnect',
    'encodeReject',
    'encodeRequest',
    'formatExtensionList',
    'generateKey',
    'headerValue',
    'headerValues',
    'parseExtensionList',
    'parseTokenList',
    'parseUpgrade',
    'resolveHeadLimits',
    'unexpectedStatus',
    'verifyResponse',
  ])
  t.end()
})

t.test('the testing entry exports exactly these names', t => {
  t.strictSame(Object.keys(testing).toSorted(), [
    'NetworkError',
    'StalledError',
    'VirtualClock',
    'VirtualNetwork',
  ])
  t.end()
})

t.test('the entries share their classes', t => {
  t.equal(main.UsageError, protocol.UsageError)
  t.equal(main.ProtocolViolation, protocol.ProtocolViolation)
  t.equal(main.HandshakeError, handshake.HandshakeError)
  t.end()
})
