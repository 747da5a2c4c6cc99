// Strategy: docs/coming-from.md is a promise to whoever comes from one of four libraries, so it is held to three things:
// every test that it names exists, every test of test/seeds/ is named in it, and nothing that a library documents is left
// out. What each documents is written here by hand, as terms that the first column has to have. Names of tests are read by
// the compiler's parser; one with `${…}` in it fits whatever may stand there.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

interface Row {
  readonly theirs: string
  readonly tests: readonly string[]
}

interface Section {
  /** The files with its tests. */
  readonly files: readonly string[]
  readonly rows: readonly Row[]
}

/** A cell as text. */
const plain = (cell: string): string =>
  cell.replaceAll('`', '').replaceAll('\\|', '|').replace(/\s+/g, ' ').trim()

function sectionOf(text: string): Section {
  const rows: Row[] = []
  let inTable = false
  for (const line of text.split('\n')) {
    const cells = line.split(/(?<!\\)\|/).slice(1, -1)
    if (line.startsWith('|') && inTable && !/^:?-+:?$/.test(cells[0].trim())) {
      const tests = (cells.at(-1) ?? '').split(/<br ?\/?>/).map(plain)
      rows.push({ theirs: plain(cells[0]), tests })
    }
    inTable = line.startsWith('|')
  }
  return { files: [...new Set(text.match(/test\/seeds\/[\w-]+\.test\.ts/g))], rows }
}

const sections = new Map(
  read('docs/coming-from.md')
    .split(/^## /m)
    .slice(1)
    .map(text => [text.slice(0, text.indexOf('\n')).trim(), sectionOf(text)] as const),
)

/** One test as its file names it. */
interface Named {
  readonly name: string
  readonly fits: (name: string) => boolean
}

/** The tests of a file, without those inside of others. */
function testsOf(path: string): readonly Named[] {
  const found: Named[] = []
  const visit = (node: ts.Node): void => {
    const named = ts.isCallExpression(node) ? nameOf(node) : null
    if (named === null) ts.forEachChild(node, visit)
    else found.push(named)
  }
  visit(ts.createSourceFile(path, read(path), ts.ScriptTarget.ES2023, true))
  return found
}

function nameOf({ expression, arguments: [first] }: ts.CallExpression): Named | null {
  if (first === undefined || !/^(?:t\.)?test$/.test(expression.getText())) return null
  if (ts.isStringLiteralLike(first)) {
    const name = plain(first.text)
    return { name, fits: other => other === name }
  }
  if (!ts.isTemplateExpression(first)) return null
  const texts = [first.head.text, ...first.templateSpans.map(({ literal }) => literal.text)]
  const escaped = texts.map(text => text.replaceAll('`', '').replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  const pattern = new RegExp(`^${escaped.join('.+')}$`)
  return { name: texts.join('${…}'), fits: other => pattern.test(other) }
}

const files = readdirSync(join(root, 'test/seeds'))
  .filter(name => name.endsWith('.test.ts'))
  .map(name => `test/seeds/${name}`)

const SUBJECT = '  '

/** Terms that belong to one subject: both are to be in one cell. */
const of = (subject: string, ...terms: readonly string[]): string[] =>
  terms.map(term => `${subject}${SUBJECT}${term}`)

const RESULTS = ['{:ok, state}', '{:reply, frame, state}', '{:close, state}', '{:close, close_frame, state}']
const ENCODE_ERROR = 'FrameEncodeError{reason, frame_type, frame_payload, close_code}'
const NAMES = ['{:global, term}', '{:via, module, term}']

/** What each library documents: functions, options, callbacks with all they may answer, reasons, errors. */
const TERMS: Readonly<Record<string, readonly (string | readonly string[])[]>> = {
  WebSockex: [
    of('start/4', '{:ok, pid}', '{:error, term}'),
    'start_link/4',
    'cast/2',
    of('send_frame/2', ':ok', 'NotConnectedError', 'ConnError', 'FrameEncodeError', 'InvalidFrameError'),
    of('client', 'pid', 'atom', ...NAMES),
    of('frame', ':ping', '{:ping,', ':pong', '{:pong,', '{:text,', '{:binary,', ':close', '{:close,'),
    of('frame', '{:fragment,', '{:continuation,', '{:finish,'),
    of('child_spec', '/1', '/2', 'restart: :transient'),
    of('Conn.', 'new', 'parse_url', 'open_socket', 'close_socket', 'socket_send', 'build_request'),
    of('Conn.', 'handle_response', 'set_active', 'controlling_process'),
    of('async', 'true', 'false'),
    'handle_initial_conn_failure',
    of('name:', 'atom', ...NAMES),
    of('debug:', '[:trace]', '[:log]', '{:log, log_depth}', '[:statistics]', '{:log_to_file, path}'),
    'extra_headers',
    'insecure',
    'cacerts',
    'ssl_options',
    'socket_connect_timeout',
    'socket_recv_timeout',
    'socket_options',
    of('handle_connect(', 'conn', 'state'),
    of('handle_connect:', '{:ok, state}', 'an error'),
    ...['handle_frame', 'handle_ping', 'handle_pong', 'handle_cast', 'handle_info'].flatMap(name => [
      of(`${name}(`, 'state'),
      of(`${name}:`, ...RESULTS, 'an error'),
    ]),
    of('handle_disconnect(connection_status_map, state)', 'reason', 'attempt_number', 'conn'),
    of('handle_disconnect:', '{:ok, state}', '{:reconnect, state}', '{:reconnect, conn, state}', 'an error'),
    'terminate(close_reason, state)',
    'format_status(:normal, [pdict, state])',
    of('code_change', '{:ok, new_state}', '{:error, reason}', '{:down, old_vsn}'),
    of('connection_status_map', 'reason', 'attempt_number', 'conn'),
    of('close_reason:', '{:remote, :normal}', '{:local, :normal}', '{:remote, close_code, message}'),
    of('close_reason:', '{:local, close_code, message}', '{:remote, :closed}', '{:error, term}'),
    'close_code',
    of('exit reason', ':normal', 'anything else'),
    'RequestError{code, message}',
    'ConnError{original}',
    'URLError{url}',
    'HandshakeError{challenge, response}',
    'ApplicationError{reason}',
    'BadResponseError{response, module, function, args}',
    of('FrameError{reason, opcode, buffer}', 'nonfin_control_frame', 'control_frame_too_large'),
    of('FrameError{reason, opcode, buffer}', 'invalid_utf8', 'invalid_close_code'),
    of('FrameError{reason, opcode, buffer}', 'close_with_single_byte_payload'),
    of(ENCODE_ERROR, 'control_frame_too_large', 'close_code_out_of_range'),
    'InvalidFrameError{frame}',
    'FragmentParseError{reason, fragment, continuation}',
    of('NotConnectedError{connection_state}', ':opening', ':closing'),
    'CallingSelfError{function}',
    of(':sys.', 'get_state', 'replace_state', 'get_status'),
    'debug events',
    of('telemetry', ':connected', ':disconnected', ':terminate', ':received', ':sent'),
  ],
  Enchufeweb: [
    of('start_link', 'url', 'ws_opts'),
    'ws_send',
    of('conn_mode', ':disconnected', ':once', ':reconnect'),
    of('handle_connection', '{:ok, state}', '{:ok, keepalive, state}', '{:reply, reply, state}'),
    of('handle_connection', '{:close, reason, state}'),
    of('handle_disconnection', '{:ok, state}', '{:reconnect, state}', '{:reconnect, delay, state}'),
    of('handle_disconnection', '{:close, reason, state}'),
    of('handle_message', '{:ok, state}', '{:reply, reply, state}', '{:close, reason, state}'),
    of('handle_message', ':close', ':ping', ':pong'),
  ],
  'Slack.WebSocketClient (websocket_client)': [
    'start_link(url, module, state, opts)',
    'child_spec',
    ':keepalive',
    of(':keepalive', ':infinity'),
    of(
      'cast',
      '{:text, binary}',
      '{:binary, binary}',
      ':ping',
      '{:ping, binary}',
      ':pong',
      '{:pong, binary}',
    ),
    of('cast', ':close', '{:close, code, reason}'),
    of('init', '{:ok, state}', '{:once, state}', '{:reconnect, state}'),
    of('onconnect', '{:ok, state}'),
    of('ondisconnect', '{:ok, state}', '{:reconnect, state}', '{:close, reason, state}'),
    of('websocket_handle', '{:ok, state}', '{:reply, frame, state}', '{:close, reason, state}'),
    of('websocket_info', '{:ok, state}', '{:reply, frame, state}', '{:close, reason, state}'),
    'websocket_terminate',
    ':remote',
    // What websocket_client has besides.
    of('init', '{ok, State}'),
    of('onconnect', '{ok, State, Keepalive}', '{reply, Frame, State}', '{close, Reason, State}'),
    of('ondisconnect', '{ok, State}', '{reconnect, Ms, State}'),
    ['{remote, closed}', '{error, Posix}', '{error, {HttpCode, Msg}}', '{error, invalid_handshake}'],
    '{error, keepalive_timeout}',
    of('start_link', '{local, Name}', '{global, Name}', '{via, Module, Name}'),
    ['extra_headers', 'ssl_verify', 'socket_opts', 'send(Pid, Frame)'],
  ],
  'Gundam (gun)': [
    'on_connect(headers, pid, state)',
    'on_message(message, pid, state)',
    'on_disconnect(pid, state)',
    'on_close(code, reason, pid, state)',
    'on_error(reason, pid, state)',
    'use Gundam.Websocket',
    'start_link(opts)',
    'send_message(pid',
    'ping(pid)',
    'state(pid)',
    ['url', 'headers', 'connect_timeout', 'cookie_store', 'domain_lookup_timeout', 'http_opts', 'retry ('],
    ['retry_fun', 'retry_timeout', 'supervise', 'tcp_opts', 'tls_handshake_timeout', 'tls_opts', 'trace'],
    ['transport', 'ws_opts', 'closing_timeout', 'compress', 'default_protocol', 'flow', 'keepalive ('],
    ['protocols', 'silence_pings', 'reply_to', 'tunnel', 'user_opts', 'event_handler', 'socks'],
    of('gun:', 'open', 'open_unix', 'close', 'shutdown', 'set_owner', 'info', 'await_up', 'ws_upgrade'),
    of('gun:', 'ws_send', 'update_flow', 'stream_info', 'connect'),
    of('gun_', 'up', 'upgrade', 'response', 'ws', 'down', 'error', 'notify'),
  ],
  Antikythera: [
    'connect/1',
    'init/1',
    'handle_client_message/3',
    'handle_server_message/3',
    'callback_result',
    of('frame', ':close', '{:close, code, payload}'),
    of(
      'terminate/3',
      ':normal',
      ':stop',
      ':timeout',
      ':remote',
      '{:remote, code, payload}',
      '{:error, reason}',
    ),
    of('Registry.Unique.register/2', ':ok', '{:error, :taken}', '{:error, :pid_already_registered}'),
    'Registry.Unique.send_message/3',
    of('Registry.Group.join/2', 'leave/2', ':ok', '{:error, :pid_not_in_group}'),
    'Registry.Group.publish/3',
    'ws_max_connections',
  ],
}

t.test('there is a section for each library, with files and rows', t => {
  t.same([...sections.keys()], Object.keys(TERMS))
  for (const [title, { files, rows }] of sections) t.ok(files.length > 0 && rows.length > 0, title)
  t.end()
})

t.test('every test that a table names exists in a file of its section', t => {
  for (const [title, section] of sections) {
    const tests = section.files.flatMap(testsOf)
    const named = section.rows.flatMap(row => row.tests)
    const missing = named.filter(name => !tests.some(test => test.fits(name)))
    t.same(missing, [], title)
  }
  t.end()
})

t.test('every test of test/seeds/ is named in the table of its section', t => {
  for (const file of files) {
    const section = [...sections.values()].filter(one => one.files.includes(file))
    t.equal(section.length, 1, `${file} is named by one section`)
    const named = section.flatMap(({ rows }) => rows.flatMap(row => row.tests))
    const unnamed = testsOf(file).filter(test => !named.some(test.fits))
    t.same(
      unnamed.map(({ name }) => name),
      [],
      file,
    )
  }
  t.end()
})

t.test('nothing that a library documents is left out', t => {
  for (const [title, terms] of Object.entries(TERMS)) {
    const cells = sections.get(title)?.rows.map(({ theirs }) => theirs) ?? []
    const missing = terms.flat().filter(term => {
      const parts = term.split(SUBJECT)
      return !cells.some(cell => parts.every(part => cell.includes(part)))
    })
    t.same(missing, [], title)
  }
  t.end()
})
