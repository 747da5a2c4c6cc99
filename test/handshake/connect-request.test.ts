import t from 'tap'
import { encodeConnect, InvalidHeadError } from '../../src/handshake/index.js'

const text = (authority: string, headers: [string, string][] = []): string =>
  Buffer.from(encodeConnect({ authority, headers })).toString('latin1')

t.test('a CONNECT is the authority twice, and the headers given', t => {
  t.equal(text('a.test:443'), 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n')
  t.equal(text('[2001:db8::1]:80'), 'CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n')
  t.equal(
    text('192.0.2.1:65535', [
      ['Proxy-Authorization', 'Basic eDp5'],
      ['X-', 'é'],
      ['X-', ''],
    ]),
    'CONNECT 192.0.2.1:65535 HTTP/1.1\r\nHost: 192.0.2.1:65535\r\n' +
      'Proxy-Authorization: Basic eDp5\r\nX-: é\r\nX-: \r\n\r\n',
  )
  t.end()
})

t.test('refuses an authority without a port, or that would be something else', t => {
  const bad = [
    '',
    'a.test',
    'a.test:',
    'a.test:x',
    'a.test:65536',
    'a.test:123456',
    ':80',
    'a:b:80',
    '2001:db8::1:80',
    '[2001:db8::1]',
    '[a.test]:80',
    'user@a.test:80',
    'http://a.test:80',
    'a.test:80/',
    'a.test:80?',
    'a test:80',
    'a.test:80\r\nX: y',
    'a.test:80\n',
    'ä.test:80',
  ]
  for (const authority of [...bad, undefined, 80]) {
    t.throws(
      () => text(authority as string),
      { name: 'InvalidHeadError', field: 'authority' },
      `${authority}`,
    )
  }
  t.end()
})

t.test(
  'refuses headers that end their line, that it writes itself, or that are for no request like it',
  t => {
    const bad: [string, string][][] = [
      [['A', 'b\r\nC: d']],
      [['A', 'b\0']],
      [['A\r\n', 'b']],
      [['A', '☃']],
      [['Host', 'b.test']],
      [['connection', 'close']],
      [['Content-Length', '0']],
      [['Transfer-Encoding', 'chunked']],
      [['Upgrade', 'websocket']],
      [[undefined as unknown as string, 'b']],
      [
        ['Proxy-Authorization', 'a'],
        ['proxy-authorization', 'b'],
      ],
    ]
    for (const headers of bad) t.throws(() => text('a.test:80', headers), InvalidHeadError)
    t.end()
  },
)
