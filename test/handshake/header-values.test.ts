import t from 'tap'
import { parseExtensionList, parseTokenList } from '../../src/handshake/index.js'
import { formatExtensionList, listContains } from '../../src/handshake/header-values.js'

const SIZE = 64 * 1024

t.test('reads token lists over several lines, with blanks and empty elements', async t => {
  for (const [values, expected] of [
    [['a'], ['a']],
    [['a, b'], ['a', 'b']],
    [
      ['a,b', ' c\t,\td '],
      ['a', 'b', 'c', 'd'],
    ],
    [[',a,, ,b,'], ['a', 'b']],
    [['', 'a'], ['a']],
    [["!#$%&'*+-.^_`|~09azAZ"], ["!#$%&'*+-.^_`|~09azAZ"]],
    [['a, a'], ['a', 'a']],
  ] as const) {
    t.strictSame(parseTokenList(values), expected, JSON.stringify(values))
  }
})

t.test('refuses what is no token list', async t => {
  for (const values of [
    [],
    [''],
    [' , ,'],
    ['a b'],
    ['a;b'],
    ['"a"'],
    ['a, b c'],
    ['\xe4'],
    ['a', 'b/c'],
    ['a\0'],
    ['\u{1f600}'],
  ]) {
    t.equal(parseTokenList(values), null, JSON.stringify(values))
  }
})

t.test('reads extension lists with parameters in any of their forms', async t => {
  for (const [value, expected] of [
    ['foo', [{ name: 'foo', params: [] }]],
    [
      'permessage-deflate; client_max_window_bits; server_max_window_bits=10, x',
      [
        {
          name: 'permessage-deflate',
          params: [
            ['client_max_window_bits', null],
            ['server_max_window_bits', '10'],
          ],
        },
        { name: 'x', params: [] },
      ],
    ],
    ['a;b="c"', [{ name: 'a', params: [['b', 'c']] }]],
    ['a;b="\\c\\d"', [{ name: 'a', params: [['b', 'cd']] }]],
    ['a;b="x\\yz"', [{ name: 'a', params: [['b', 'xyz']] }]],
    [
      'a ; b = "c" ; d = e , f',
      [
        {
          name: 'a',
          params: [
            ['b', 'c'],
            ['d', 'e'],
          ],
        },
        { name: 'f', params: [] },
      ],
    ],
    [',, a ,,', [{ name: 'a', params: [] }]],
    [
      'a;b=1;b=2',
      [
        {
          name: 'a',
          params: [
            ['b', '1'],
            ['b', '2'],
          ],
        },
      ],
    ],
    [
      'a;b, a;c',
      [
        { name: 'a', params: [['b', null]] },
        { name: 'a', params: [['c', null]] },
      ],
    ],
  ] as const) {
    t.strictSame(parseExtensionList([value]), expected, value)
  }
  t.strictSame(
    parseExtensionList(['foo', 'bar; baz=2']),
    parseExtensionList(['foo, bar; baz=2']),
    'lines are joined',
  )
})

t.test('reads names of object prototypes like all others', async t => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    t.strictSame(parseExtensionList([`${name}; ${name}=${name}; ${name}`]), [
      {
        name,
        params: [
          [name, name],
          [name, null],
        ],
      },
    ])
  }
  t.equal(Object.hasOwn(Object.prototype, 'params'), false)
})

t.test('refuses malformed extension lists', async t => {
  for (const value of [
    '',
    ' ',
    ',',
    ';',
    'a;',
    'a; ;b',
    'a;b;',
    'a;=b',
    'a=b',
    'a;b=',
    'a;b=,c',
    'a;b==c',
    'a;b=c d',
    'a b',
    'a;b c',
    'a;b=c"d"',
    'a;b="c"d',
    'a;b="',
    'a;b="c',
    'a;b="c\\',
    'a;b="c\\"',
    'a;b=""',
    'a;b="c d"',
    'a;b="c,d"',
    'a;b="c;d"',
    'a;b="\\""',
    'a;b="\\\\"',
    'a;b="\xe4"',
    '"a"',
    'a;"b"',
    'a\0',
    'a/b',
    '\u{1f600}',
  ]) {
    t.equal(parseExtensionList([value]), null, JSON.stringify(value))
  }
  t.equal(parseExtensionList(['a', 'b;']), null, 'each line is a list of its own')
  t.equal(parseExtensionList(['a;b="c', 'd"']), null, 'nothing goes on from line to line')
})

t.test('finds an element of a list in any case, between blanks, on any line', async t => {
  for (const values of [
    ['Upgrade'],
    ['keep-alive, Upgrade'],
    ['upgrade,close'],
    ['close', ' \tUPGRADE '],
    [',,upgrade,,'],
    ['TLS/1.0 x, upgrade'],
  ]) {
    t.equal(listContains(values, 'upgrade'), true, JSON.stringify(values))
  }
  for (const values of [
    [],
    [''],
    ['upgraded'],
    ['up grade'],
    ['"upgrade"'],
    ['keep-alive; upgrade'],
    ['upgrade/1'],
  ]) {
    t.equal(listContains(values, 'upgrade'), false, JSON.stringify(values))
  }
})

t.test('finishes with 64 KiB of anything, which takes linear time', async t => {
  const { length } = parseTokenList(['a,'.repeat(SIZE)]) ?? []
  t.equal(length, SIZE)
  for (const piece of [' ', '\t', ',', ' ,', ';', '=', '"', '\\', '\\a', 'a', 'a ', '; ', '";']) {
    const long = piece.repeat(SIZE)
    for (const value of [
      long,
      `a${long}`,
      `a${long}b`,
      `a;b="${long}`,
      `a;b="${long}"`,
      `a;b=${long}`,
      `a;${long}`,
    ]) {
      const parsed = parseExtensionList([value])
      if (value === `a;b="${'\\a'.repeat(SIZE)}"`) t.equal(parsed?.[0].params[0][1], 'a'.repeat(SIZE))
      else if (value === `a${' '.repeat(SIZE)}`) t.strictSame(parsed, [{ name: 'a', params: [] }])
      parseTokenList([value])
      listContains([value], 'upgrade')
    }
  }
  t.equal(parseExtensionList([`a;b="${'\\a'.repeat(SIZE)}`]), null, 'a quote that never ends')
  t.equal(parseExtensionList([`a${';b=c'.repeat(SIZE)}`])?.[0].params.length, SIZE)
})

t.test('writes lists that it reads back', async t => {
  const value = 'a; b=c; d, e, a; b'
  t.equal(formatExtensionList(parseExtensionList([value])!), value)
})
