// Strategy: docs/api.md has tables of codes, options, members and exports, and a table that lags behind is worse than none.
// The names are read from the sources by the compiler's parser, the values (close codes, statuses, phases, defaults) from
// the running code; each table must have exactly those, whatever its order.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { HandshakeError, resolveHeadLimits } from '../../src/handshake/index.js'
import { ConnectionError, ProtocolViolation } from '../../src/index.js'
import { resolveKeepalive } from '../../src/behaviour/keepalive.js'
import { resolveStartOptions } from '../../src/behaviour/start-options.js'
import { resolveSupervisorOptions } from '../../src/behaviour/supervisor-options.js'
import { resolveLimits } from '../../src/protocol/index.js'
import { resolveDialOptions } from '../../src/transport/dial-options.js'
import { resolveSocketOptions } from '../../src/transport/socket-options.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const api = read('docs/api.md')

/** The tables whose first row has these cells; each row as its cells, without backquotes. */
function tables(markdown: string, ...head: readonly string[]): string[][][] {
  const found: string[][][] = []
  let current: string[][] | null = null
  for (const line of markdown.split('\n')) {
    if (!line.startsWith('|')) {
      current = null
      continue
    }
    const cells = line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map(cell => cell.trim().replaceAll('`', ''))
    if (current === null) {
      current = []
      if (head.every((text, i) => cells[i] === text)) found.push(current)
    } else if (!/^-+$/.test(cells[0])) current.push(cells)
  }
  return found
}

/** The only table with this head below the heading, up to the next heading. */
function tableBelow(heading: string, ...head: readonly string[]): string[][] {
  const section = api.split(/^#+ /m).find(part => part.startsWith(`${heading}\n`))
  if (section === undefined) throw new Error(`docs/api.md has no heading "${heading}"`)
  const found = tables(section, ...head)
  if (found.length !== 1) throw new Error(`${found.length} tables with ${head.join(', ')} below "${heading}"`)
  return found[0]
}

const sourceOf = (path: string): ts.SourceFile =>
  ts.createSourceFile(path, read(path), ts.ScriptTarget.ES2023, true)

/** The strings of a union of them. */
function union(path: string, name: string): string[] {
  const alias = sourceOf(path)
    .statements.filter(ts.isTypeAliasDeclaration)
    .find(one => one.name.text === name)!
  if (!ts.isUnionTypeNode(alias.type)) throw new Error(`${name} is no union`)
  return alias.type.types.map(type => {
    if (ts.isLiteralTypeNode(type) && ts.isStringLiteral(type.literal)) return type.literal.text
    throw new Error(`${name} has more than strings`)
  })
}

/** Names of what an interface or class declares itself; not private ones, nor what is marked as internal. */
function members(path: string, name: string): string[] {
  for (const one of sourceOf(path).statements) {
    if (!(ts.isInterfaceDeclaration(one) || ts.isClassDeclaration(one)) || one.name?.text !== name) continue
    const names = [...one.members]
      .filter(member => !ts.getJSDocTags(member).some(tag => tag.tagName.text === 'internal'))
      .filter(member => member.name !== undefined && !ts.isPrivateIdentifier(member.name))
      .map(member => member.name!.getText())
    return [...new Set(names)]
  }
  throw new Error(`${path} has no ${name}`)
}

const firstCells = (rows: readonly string[][]): string[] => rows.map(([cell]) => cell)

/** `send(data)` is the member `send`. */
const memberNames = (rows: readonly string[][]): string[] =>
  firstCells(rows).map(cell => cell.replace(/\(.*/, ''))

const sorted = (names: readonly string[]): string[] => [...names].toSorted()

t.test('the tables of codes list exactly the codes there are, and what belongs to each', t => {
  const violations = tableBelow('ProtocolViolation', 'Code', 'Close code')
  const violationCodes = union('src/protocol/violation.ts', 'ViolationCode')
  t.same(sorted(firstCells(violations)), sorted(violationCodes))
  for (const [code, closeCode] of violations)
    t.equal(Number(closeCode), new ProtocolViolation(code as never).closeCode, code)

  const usage = tableBelow('UsageError', 'Code', 'Meaning')
  t.same(sorted(firstCells(usage)), sorted(union('src/protocol/usage-error.ts', 'UsageCode')))

  const connection = tableBelow('ConnectionError', 'Code', 'Phase')
  const connectionCodes = union('src/transport/connection-error.ts', 'ConnectionErrorCode')
  t.same(sorted(firstCells(connection)), sorted(connectionCodes))
  for (const [code, phase] of connection)
    t.equal(phase, new ConnectionError(code as never, 'peer').phase, code)

  const handshake = tableBelow('HandshakeError', 'Code', 'Status')
  const handshakeCodes = union('src/handshake/handshake-error.ts', 'HandshakeErrorCode')
  t.same(sorted(firstCells(handshake)), sorted(handshakeCodes))
  for (const [code, status] of handshake)
    t.equal(Number(status), new HandshakeError(code as never).status, code)

  const reasons = union('src/behaviour/frame-encode-error.ts', 'FrameEncodeReason')
  t.same(sorted(firstCells(tableBelow('FrameEncodeError', 'Reason'))), sorted(reasons))
  const processes = firstCells(tableBelow('ProcessError', 'Code', 'Class'))
  t.same(sorted(processes), sorted(union('src/behaviour/process-error.ts', 'ProcessErrorCode')))

  const warnings = firstCells(tableBelow('Warnings', 'Code'))
  const warned = ['src/behaviour', 'src/server'].flatMap(room =>
    readdirSync(join(root, room)).flatMap(name =>
      [...read(`${room}/${name}`).matchAll(/\b(?:warn\(|code: )'(WS_\w+)'/g)].map(([, code]) => code),
    ),
  )
  t.same(sorted(warnings), sorted([...new Set(warned)]))

  const unknown = [...api.matchAll(/\bWS_\w+/g)]
    .map(([code]) => code)
    .filter(code => ![...violationCodes, ...connectionCodes, ...handshakeCodes].includes(code))
    .filter(code => ![...firstCells(usage), ...processes, ...warnings].includes(code))
  // The only code of its class.
  const single = [
    'WS_BAD_RESPONSE',
    'WS_FRAME_ENCODE',
    'WS_INVALID_FRAME',
    'WS_INVALID_HEAD',
    'WS_NOT_CONNECTED',
  ]
  t.same(sorted([...new Set(unknown)]), single, 'and the text names no others')
  t.end()
})

/** A default as a table says it: `10,000`, `64 KiB` or `Infinity`; null for one in words. */
function amount(cell: string): number | null {
  if (cell === 'Infinity') return Infinity
  const [, digits, unit] = /^([\d,]+)(?: (KiB|MiB))?$/.exec(cell) ?? []
  if (digits === undefined) return null
  return Number(digits.replaceAll(',', '')) * (unit === 'MiB' ? 1024 * 1024 : unit === 'KiB' ? 1024 : 1)
}

/** Each default in the table that is a number or a boolean is the one that is used, and none of those is missing. */
function checkDefaults(t: Test, rows: readonly string[][], used: object): void {
  for (const [name, cell] of rows) {
    const value = (used as Record<string, unknown>)[name]
    if (typeof value === 'number') t.equal(amount(cell), value, name)
    else if (typeof value === 'boolean') t.equal(cell, String(value), name)
    else t.equal(amount(cell), null, `${name} has no number of its own`)
  }
}

t.test('the tables of options list exactly the options there are, with their defaults', t => {
  const handshake = tableBelow('Options of the handshake', 'Option', 'Default')
  t.same(sorted(firstCells(handshake)), sorted(members('src/transport/connect.ts', 'ConnectOptions')))
  const dialing = tableBelow('Options of dialing', 'Option', 'Default')
  t.same(sorted(firstCells(dialing)), sorted(members('src/transport/dial-options.ts', 'DialOptions')))
  const { tcp, family, ...dial } = resolveDialOptions({})
  checkDefaults(t, dialing, { insecure: false, ...dial })

  const ofTcp = tableBelow('Options of dialing', 'tcp option', 'Default')
  t.same(sorted(firstCells(ofTcp)), sorted(members('src/transport/dial-options.ts', 'TcpOptions')))
  checkDefaults(t, ofTcp, { ...tcp, family })

  const open = tableBelow('Options of an open connection', 'Option', 'Default')
  t.same(sorted(firstCells(open)), sorted(members('src/transport/socket-options.ts', 'SocketOptions')))
  checkDefaults(t, open, resolveSocketOptions({}))

  for (const path of ['src/transport/connect.ts', 'src/transport/listen.ts']) {
    const [, limit] = /^const HANDSHAKE_TIMEOUT_MS = ([\d_]+)$/m.exec(read(path)) ?? []
    t.equal(limit, '10_000', `${path}: handshakeTimeoutMs`)
  }
  const timeouts = [...api.matchAll(/^\| `handshakeTimeoutMs` \| ([^ ]+)/gm)].map(([, cell]) => cell)
  t.same(timeouts, ['10,000', '10,000'])

  const section = api.split(/^## /m).find(part => part.startsWith('listen and attach\n'))!
  const [listening, accepting] = tables(section, 'Option', 'Default')
  t.same(sorted(firstCells(listening)), sorted(members('src/transport/listen.ts', 'ListenOptions')))
  t.same(sorted(firstCells(accepting)), sorted(members('src/transport/listen.ts', 'AcceptOptions')))
  t.end()
})

/** The value of a constant in a source: a number, or a product of some. */
function constant(path: string, name: string): number {
  const [, value] = new RegExp(`^(?:export )?const ${name} = ([\\d_* ]+)$`, 'm').exec(read(path)) ?? []
  if (value === undefined) throw new Error(`${path} has no number ${name}`)
  return value
    .replaceAll('_', '')
    .split('*')
    .reduce((product, factor) => product * Number(factor), 1)
}

t.test(
  'the tables of what processes are given list exactly the options there are, with their defaults',
  t => {
    const options = tableBelow('Options of start', 'Option', 'Default')
    t.same(sorted(firstCells(options)), sorted(members('src/behaviour/start-options.ts', 'StartOptions')))
    checkDefaults(t, options, resolveStartOptions({}))

    const keepalive = tableBelow('Keepalive', 'keepalive', 'Default')
    t.same(sorted(firstCells(keepalive)), sorted(members('src/behaviour/keepalive.ts', 'KeepaliveOptions')))
    checkDefaults(t, keepalive, resolveKeepalive(undefined))

    const policy = 'src/behaviour/reconnect-policy.ts'
    const reconnect = tableBelow('Reconnecting', 'reconnect', 'Default')
    t.same(sorted(firstCells(reconnect)), sorted(members(policy, 'ReconnectOptions')))
    checkDefaults(t, reconnect, {
      retries: Infinity,
      minDelayMs: constant(policy, 'MIN_DELAY_MS'),
      maxDelayMs: constant(policy, 'MAX_DELAY_MS'),
      factor: constant(policy, 'FACTOR'),
      resetAfterMs: constant(policy, 'RESET_AFTER_MS'),
      onClean: false,
    })
    t.match(read(policy), /^const RETRIES = Infinity$/m)

    const queue = 'src/behaviour/waiting-frames.ts'
    const waiting = tableBelow('Waiting frames', 'whenNotOpen', 'Default')
    t.same(sorted(firstCells(waiting)), sorted(members(queue, 'QueueOptions')))
    checkDefaults(t, waiting, {
      maxBytes: constant(queue, 'MAX_BYTES'),
      maxFrames: constant(queue, 'MAX_FRAMES'),
      ttlMs: Infinity,
    })

    const handle = 'src/behaviour/process.ts'
    const calls = tableBelow('Process', 'CallOptions', 'Default')
    t.same(sorted(firstCells(calls)), sorted(members(handle, 'CallOptions')))
    checkDefaults(t, calls, { timeoutMs: constant('src/behaviour/pending-calls.ts', 'TIMEOUT_MS') })
    const stops = tableBelow('Process', 'StopOptions', 'Default')
    t.same(sorted(firstCells(stops)), sorted(members(handle, 'StopOptions')))
    checkDefaults(t, stops, { timeoutMs: constant('src/behaviour/process-works.ts', 'STOP_TIMEOUT_MS') })

    const supervisors = tableBelow('Supervisors', 'SupervisorOptions', 'Default')
    const supervisorOptions = members('src/behaviour/supervisor-options.ts', 'SupervisorOptions')
    t.same(sorted(firstCells(supervisors)), sorted(supervisorOptions))
    checkDefaults(t, supervisors, resolveSupervisorOptions({}))
    const children = tableBelow('Supervisors', 'ChildOptions', 'Default')
    t.same(sorted(firstCells(children)), sorted(members('src/behaviour/child-spec.ts', 'ChildOptions')))
    checkDefaults(t, children, { shutdownMs: constant('src/behaviour/child-spec.ts', 'SHUTDOWN_MS') })

    const proxies = tableBelow('Proxies', 'ProxyOptions')
    t.same(sorted(firstCells(proxies)), sorted(members('src/transport/dial-options.ts', 'ProxyOptions')))
    t.end()
  },
)

/** `send(frame), write(frame)` are the members `send` and `write`. */
const namesIn = (rows: readonly string[][]): string[] =>
  firstCells(rows).flatMap(cell => [...cell.matchAll(/(\w+)(?:\([^)]*\))?(?:, |$)/g)].map(([, name]) => name))

t.test(
  'the tables of a process, of what its callbacks get, and of its callbacks list exactly what there is',
  t => {
    const handle = 'src/behaviour/process.ts'
    t.same(sorted(namesIn(tableBelow('Process', 'Member'))), sorted(members(handle, 'Process')))
    t.same(sorted(namesIn(tableBelow('Self', 'Member'))), sorted(members(handle, 'Self')))
    const status = members('src/behaviour/behaviour.ts', 'ProcessStatus')
    t.same(sorted(namesIn(tableBelow('Process', 'ProcessStatus'))), sorted(status))

    const guide = read('docs/behaviour.md')
    const [callbacks] = tables(guide, 'Callback', 'When')
    const behaviour = members('src/behaviour/behaviour.ts', 'Behaviour').filter(name => name !== 'version')
    t.same(sorted(memberNames(callbacks)), sorted(behaviour))
    const [results] = tables(guide, 'Key')
    const keys = [...members('src/behaviour/result.ts', 'Result'), 'answer']
    t.same(sorted(firstCells(results)), sorted(keys.filter(key => !['reconnect', 'stay'].includes(key))))
    const [statuses] = tables(guide, 'status')
    t.same(
      sorted([...namesIn(statuses), 'wasClean']),
      sorted(members('src/behaviour/disconnect-status.ts', 'DisconnectStatus')),
    )
    const ends = tables(guide, 'What happened', 'type').flat()
    const lost = union('src/behaviour/disconnect-status.ts', 'DisconnectType')
    const types = [...lost, 'stop', 'crash', 'link', 'name-conflict']
    t.same(sorted([...new Set(ends.map(([, type]) => type))]), sorted(types))
    t.end()
  },
)

t.test('the tables of limits list exactly the limits there are, with their defaults', t => {
  const expected = resolveLimits()
  const guide = tables(read('docs/sans-io.md'), 'Limit', 'Default')
  for (const rows of [tableBelow('Limits', 'limits', 'Default'), ...guide]) {
    t.same(sorted(firstCells(rows)), sorted(Object.keys(expected)))
    checkDefaults(t, rows, expected)
  }
  t.equal(guide.length, 1)
  const heads = tableBelow('Limits', 'headLimits', 'Default')
  t.same(sorted(firstCells(heads)), sorted(Object.keys(resolveHeadLimits())))
  checkDefaults(t, heads, resolveHeadLimits())
  t.end()
})

t.test('the table of the socket lists exactly its members, and that of the outcome its fields', t => {
  const expected = members('src/transport/socket.ts', 'Socket').map(name => name.replace(/^readonly /, ''))
  t.same(sorted(memberNames(tableBelow('Socket', 'Member'))), sorted(expected))
  const outcome = [
    ...members('src/protocol/close-outcome.ts', 'CloseOutcome'),
    ...members('src/transport/socket-outcome.ts', 'SocketOutcome'),
  ]
  t.same(sorted(firstCells(tableBelow('Closing', 'SocketOutcome'))), sorted(outcome))
  t.end()
})

t.test('the guide lists exactly the events and the shutdowns there are', t => {
  const guide = read('docs/sans-io.md')
  const shutdowns = tables(guide, 'shutdown', 'Do').flat()
  t.same(
    sorted(firstCells(shutdowns).map(cell => cell.replaceAll("'", ''))),
    sorted(union('src/protocol/close-outcome.ts', 'Shutdown')),
  )
  const types = [...read('src/protocol/event.ts').matchAll(/type: ('[^;]+)/g)]
    .flatMap(([, names]) => names.split(' | '))
    .map(name => name.replaceAll("'", ''))
  t.same(sorted(firstCells(tables(guide, 'Event', 'Carries').flat())), sorted(types))
  t.end()
})

t.test('every export of the main entry is named in the document', t => {
  const names = sourceOf('src/index.ts')
    .statements.filter(ts.isExportDeclaration)
    .flatMap(({ exportClause }) =>
      exportClause !== undefined && ts.isNamedExports(exportClause)
        ? exportClause.elements.map(element => element.name.text)
        : ['something without a name'],
    )
  t.ok(names.length > 40)
  t.same(
    names.filter(name => !new RegExp(`\`${name}\\b`).test(api)),
    [],
  )
  t.end()
})

/** What a heading is linked to by. */
const anchorsOf = (markdown: string): string[] =>
  [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\d _-]/gu, '')
      .replaceAll(' ', '-'),
  )

t.test('links between the documents lead to files and headings that exist', t => {
  const pages = [
    'README.md',
    ...readdirSync(join(root, 'docs'))
      .filter(name => name.endsWith('.md'))
      .map(name => `docs/${name}`),
    'examples/README.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
  ]
  for (const page of pages) {
    for (const [, target] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue
      const { pathname, hash } = new URL(target, `file:///${page}`)
      const path = pathname.slice(1)
      if (!t.ok(existsSync(join(root, path)), `${page}: ${target}`) || hash === '') continue
      t.ok(anchorsOf(read(path)).includes(decodeURIComponent(hash.slice(1))), `${page}: ${target}`)
    }
  }
  t.end()
})
