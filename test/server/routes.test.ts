import fc from 'fast-check'
import { test } from 'tap'
import { Routes } from '../../src/server/routes.js'

void test('takes a path by its segments, those that are spelt out first', t => {
  const routes = new Routes({
    '/': 'root',
    '/rooms/:room': 'room',
    '/rooms/lobby': 'lobby',
    '/rooms/:room/users/:user': 'user',
    '/files/*path': 'files',
    '/rooms/:room/': 'slash',
  })
  const cases: readonly (readonly [string, string | null, Record<string, string>])[] = [
    ['/', 'root', {}],
    ['/rooms/lobby', 'lobby', {}],
    ['/rooms/Lobby', 'room', { room: 'Lobby' }],
    ['/rooms/a%2Fb', 'room', { room: 'a/b' }],
    ['/rooms/%E2%9C%93', 'room', { room: '✓' }],
    ['/rooms/__proto__', 'room', { room: '__proto__' }],
    ['/rooms/x/users/7', 'user', { room: 'x', user: '7' }],
    ['/rooms/lobby/users/7', 'user', { room: 'lobby', user: '7' }],
    ['/rooms/x/', 'slash', { room: 'x' }],
    ['/files/', 'files', { path: '' }],
    ['/files/a/b%20c', 'files', { path: 'a/b c' }],
    ['/files', null, {}],
    ['/rooms', null, {}],
    ['/rooms/', null, {}],
    ['//', null, {}],
    ['/rooms/%ff', null, {}],
    ['/rooms/x/users', null, {}],
    ['rooms/x', null, {}],
    ['*', null, {}],
  ]
  for (const [path, value, params] of cases) {
    const found = routes.find(path)
    t.equal(found?.value ?? null, value, path)
    t.same({ ...found?.params }, params, path)
  }
  t.end()
})

void test('names of parameters are names like any other', t => {
  const found = new Routes({ '/:__proto__/:constructor': 1 }).find('/a/b')!
  t.equal(Object.getPrototypeOf(found.params), null)
  t.equal(found.params['constructor'], 'b')
  t.same(Object.keys(found.params), ['__proto__', 'constructor'])
  t.end()
})

void test('refuses patterns that are none, and two that take the same', t => {
  for (const patterns of [
    { rooms: 1 },
    { '/:': 1 },
    { '/*': 1 },
    { '/:a/:a': 1 },
    { '/*all/more': 1 },
    { '/:a': 1, '/:b': 2 },
    { '/x/*a': 1, '/x/*b': 2 },
  ]) {
    t.throws(() => new Routes(patterns), { code: 'WS_BAD_OPTION' }, JSON.stringify(patterns))
  }
  t.end()
})

void test('law: whatever is encoded into a path comes back as it was', t => {
  const routes = new Routes({ '/a/:one/:two/*rest': true })
  const segment = fc.string({ unit: 'grapheme', minLength: 1 })
  fc.assert(
    fc.property(segment, segment, fc.array(segment), (one, two, rest) => {
      const path = `/a/${[one, two, ...rest].map(encodeURIComponent).join('/')}/`
      const found = routes.find(path)
      if (found === null) throw new Error('not found')
      if (found.params['one'] !== one || found.params['two'] !== two) throw new Error('another one')
      if (found.params['rest'] !== [...rest, ''].join('/')) throw new Error('another rest')
    }),
  )
  t.pass('no counterexample')
  t.end()
})
