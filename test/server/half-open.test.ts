import { test } from 'tap'
import { countedAs, HalfOpen } from '../../src/server/half-open.js'

void test('an IPv6 host counts as its network of 64 bits, anybody else as the address', t => {
  for (const [address, network] of [
    ['203.0.113.9', '203.0.113.9'],
    ['::ffff:203.0.113.9', '::ffff:203.0.113.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::6', '2001:db8:1:2'],
    ['2001:db8::6', '2001:db8:0:0'],
    ['2001:db8:0:0:1::', '2001:db8:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['::1', '0:0:0:0'],
    ['', ''],
  ])
    t.equal(countedAs(address), network, address)
  t.end()
})

void test('however many addresses a network has, it has one share', t => {
  const halfOpen = new HalfOpen(100, 3)
  const some = Array.from({ length: 5 }, (_, i) => halfOpen.enter(`2001:db8:1:2::${i}`))
  t.same(some.map(Boolean), [true, true, true, false, false])
  t.ok(halfOpen.enter('2001:db8:1:3::1'))
  some[0]!()
  some[0]!()
  t.equal(halfOpen.count, 3)
  t.ok(halfOpen.enter('2001:db8:1:2::9'))
  t.end()
})
