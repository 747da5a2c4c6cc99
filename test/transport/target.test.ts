import * as fc from 'fast-check'
import t from 'tap'
import { UsageError } from '../../src/protocol/usage-error.js'
import { parseTarget, peerName } from '../../src/transport/target.js'

t.test('takes apart what a URL says', t => {
  const table: readonly (readonly [string, Partial<ReturnType<typeof parseTarget>>])[] = [
    [
      'ws://example.com',
      { secure: false, hostname: 'example.com', port: 80, host: 'example.com', requestTarget: '/' },
    ],
    ['wss://example.com', { secure: true, hostname: 'example.com', port: 443, host: 'example.com' }],
    [
      'http://example.com/chat',
      { secure: false, port: 80, requestTarget: '/chat', href: 'ws://example.com/chat' },
    ],
    [
      'https://example.com:8443',
      { secure: true, port: 8443, host: 'example.com:8443', href: 'wss://example.com:8443/' },
    ],
    ['WSS://EXAMPLE.com:443/A', { port: 443, host: 'example.com', requestTarget: '/A' }],
    ['ws://example.com:80/', { port: 80, host: 'example.com' }],
    ['ws://example.com:443/', { port: 443, host: 'example.com:443' }],
    ['ws://example.com?a=1&b=%20', { requestTarget: '/?a=1&b=%20' }],
    ['ws://example.com/a b?q=é', { requestTarget: '/a%20b?q=%C3%A9' }],
    ['ws://example.com/a/../b', { requestTarget: '/b' }],
    ['ws://[::1]:9001/x', { hostname: '::1', port: 9001, host: '[::1]:9001', requestTarget: '/x' }],
    ['wss://[2001:DB8::1]', { hostname: '2001:db8::1', host: '[2001:db8::1]' }],
    ['ws://127.0.0.1:1', { hostname: '127.0.0.1', host: '127.0.0.1:1' }],
    ['ws://bücher.example', { hostname: 'xn--bcher-kva.example', host: 'xn--bcher-kva.example' }],
    ['  ws://example.com/  ', { hostname: 'example.com', requestTarget: '/' }],
  ]
  for (const [url, expected] of table)
    t.match(parseTarget(url), { socketPath: null, authorization: null, ...expected }, url)
  t.same(
    parseTarget(new URL('ws://example.com/chat?x')),
    parseTarget('ws://example.com/chat?x'),
    'a URL object',
  )
  t.end()
})

t.test('leaves the URL object that it was given as it is', t => {
  const url = new URL('https://user:secret@example.com/')
  parseTarget(url)
  t.equal(url.href, 'https://user:secret@example.com/')
  t.end()
})

const decode = (url: string): string =>
  Buffer.from(parseTarget(url).authorization!.replace('Basic ', ''), 'base64').toString()

t.test('makes Basic authorization from user info, and hides it from href', t => {
  t.equal(parseTarget('ws://Aladdin:open%20sesame@x/').authorization, 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==')
  t.equal(decode('ws://user@x/'), 'user:', 'no password')
  t.equal(decode('ws://:pass@x/'), ':pass', 'no user')
  t.equal(decode('ws://us%C3%A9r:p%40ss:w%2Ford@x/'), 'usér:p@ss:w/ord')
  t.equal(decode('ws://é:ü@x/'), 'é:ü')
  t.equal(decode('ws://u:100%@x/'), 'u:100%', 'a percent sign that is no escape')
  t.equal(parseTarget('wss://u:p@x/chat').href, 'wss://x/chat')
  t.end()
})

t.test('finds the unix socket and the request path', t => {
  const table: readonly (readonly [string, string, string])[] = [
    ['ws+unix:/run/app.sock', '/run/app.sock', '/'],
    ['ws+unix:/run/app.sock:', '/run/app.sock', '/'],
    ['ws+unix:/run/app.sock:/chat?x=1', '/run/app.sock', '/chat?x=1'],
    ['ws+unix:/run/app.sock:?x=1', '/run/app.sock', '/?x=1'],
    ['ws+unix:/run/app.sock:/time/12:30', '/run/app.sock', '/time/12:30'],
    ['ws+unix:/run/a%3Ab%20c.sock:/', '/run/a:b c.sock', '/'],
    ['ws+unix:///run/app.sock:/chat', '/run/app.sock', '/chat'],
    ['ws+unix:./app.sock:/chat', './app.sock', '/chat'],
    ['ws+unix:\\\\.\\pipe\\app:/chat', '\\\\.\\pipe\\app', '/chat'],
    ['ws+unix:/run/app.sock:/../../etc/passwd', '/run/app.sock', '/etc/passwd'],
  ]
  for (const [url, socketPath, requestTarget] of table) {
    t.match(
      parseTarget(url),
      { secure: false, hostname: 'localhost', host: 'localhost', socketPath, requestTarget },
      url,
    )
  }
  t.match(parseTarget('WSS+unix:/a.sock:/x'), { secure: true, port: 443, href: 'wss+unix:/a.sock:/x' })
  t.match(parseTarget(new URL('ws+unix:/run/a b.sock:/x')), {
    socketPath: '/run/a b.sock',
    requestTarget: '/x',
  })
  t.end()
})

t.test('refuses what is no WebSocket URL, without repeating a password', t => {
  const bad = [
    '',
    'example.com',
    '/chat',
    'localhost:8080',
    'ftp://example.com/',
    'ws://',
    'ws:',
    'ws://example.com:65536/',
    'ws://user:secret@exa mple.com/',
    'ws://[::1/',
    'ws://[fe80::1%25eth0]/',
    'ws://example.com/#part',
    'ws://example.com/#',
    'ws://user:secret@example.com/#part',
    'ws://us%3Aer:secret@example.com/',
    'ws://user:secret%0d%0a@example.com/',
    'ws+unix:',
    'ws+unix::/chat',
    'ws+unix://host/run/app.sock',
    'ws+unix:/run/app.sock:chat',
    'ws+unix:/run/app.sock?x=1',
    'ws+unix:/run/app.sock#x',
    'ws+unix:/run/app.sock:/chat#x',
    'ws+unix:/run/app%00.sock:/chat',
  ]
  for (const url of bad) {
    try {
      parseTarget(url)
      t.fail(`accepted: ${url}`)
    } catch (error) {
      t.ok(error instanceof UsageError && error.code === 'WS_BAD_URL', url)
      t.notMatch(String((error as Error).stack), 'secret')
    }
  }
  t.end()
})

const refused = (url: string): boolean => {
  try {
    parseTarget(url)
    return false
  } catch (error) {
    return error instanceof UsageError && error.code === 'WS_BAD_URL'
  }
}

t.test('refuses control characters anywhere in the text, where the URL parser would drop them', t => {
  for (const url of ['ws://u:p@example.com:8080/chat?query=1', 'ws+unix:/run/app.sock:/chat?query']) {
    fc.assert(
      fc.property(fc.nat(0x1f), fc.nat(url.length), (code, at) =>
        refused(url.slice(0, at) + String.fromCharCode(code) + url.slice(at)),
      ),
    )
  }
  t.ok(refused('ws://example.com/\u007f'))
  t.end()
})

t.test('never lets anything into the request line that could end it', t => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('example.com', 'example.com:8080', '[::1]:1', 'é.example'),
      fc.string({ unit: 'binary' }),
      (user, host, rest) => {
        let target
        try {
          target = parseTarget(`ws://${user}@${host}/${rest}`)
        } catch (error) {
          return error instanceof UsageError
        }
        return [target.requestTarget, target.host, target.authorization ?? 'x'].every(text =>
          /^[\x21-\x7e]+(?: [\x21-\x7e]+)?$/.test(text),
        )
      },
    ),
    { numRuns: 1000 },
  )
  t.end()
})

t.test('names the other end for error messages', t => {
  t.equal(peerName(parseTarget('ws://u:p@example.com/x')), 'example.com:80')
  t.equal(peerName(parseTarget('wss://[::1]/')), '[::1]:443')
  t.equal(peerName(parseTarget('ws+unix:/run/app.sock:/x')), '/run/app.sock')
  t.end()
})
