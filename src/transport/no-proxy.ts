// Strategy: nobody wrote down what NO_PROXY means, and programs differ. This is what curl, Go and Python agree on, and for
// the rest what takes in more: a leading dot is as good as none (Go takes it for subdomains only), lists may have blanks,
// `*` may stand beside others. Names are compared as text; none is ever looked up, so an address in the list covers only
// hosts written as addresses. Loopback names and addresses are like all others: curl goes through the proxy for them,
// Go and browsers do not.

import { BlockList } from 'node:net'
import { ipFamily } from './ip-family.js'

/**
 * Whether a list in the form of `NO_PROXY` takes a host out: `*`, names with their subdomains, IP addresses, ranges such as
 * `10.0.0.0/8`, each name or address also with a port. Entries that make no sense cover nothing. Pure.
 *
 * @param hostname - a name in lower case, or an IP address without brackets.
 */
export const isBypassed = (list: string, hostname: string, port: number): boolean =>
  list
    .split(/[\s,]+/)
    .filter(entry => entry !== '')
    .some(entry => covers(entry.toLowerCase(), hostname.replace(/\.$/, ''), port))

const covers = (entry: string, hostname: string, port: number): boolean => {
  if (entry === '*') return true
  const [address, prefix] = entry.split('/')
  if (prefix !== undefined) return isInRange(hostname, address, prefix)
  const [name, ofPort] = splitPort(entry)
  if (ofPort !== null && ofPort !== port) return false
  if (ipFamily(hostname) !== 0 || ipFamily(name) !== 0) return isSameAddress(hostname, name)
  const domain = name.replace(/^\*?\./, '').replace(/\.$/, '')
  return domain !== '' && (hostname === domain || hostname.endsWith(`.${domain}`))
}

/** `host:port`, `[::1]:port` or `[::1]`; an IPv6 address without brackets has no port. */
const splitPort = (entry: string): [name: string, port: number | null] => {
  if (ipFamily(entry) !== 0) return [entry, null]
  const [, bracketed, plain, port] = /^(?:\[(.*)\]|(.*?))(?::(\d+))?$/.exec(entry) ?? []
  return [bracketed ?? plain ?? '', port === undefined ? null : Number(port)]
}

const family = (address: string): 'ipv4' | 'ipv6' => (ipFamily(address) === 4 ? 'ipv4' : 'ipv6')

const isSameAddress = (hostname: string, address: string): boolean => {
  if (ipFamily(hostname) === 0 || ipFamily(address) === 0) return false
  const one = new BlockList()
  one.addAddress(address, family(address))
  return one.check(hostname, family(hostname))
}

const isInRange = (hostname: string, address: string, prefix: string): boolean => {
  const bits = family(address) === 'ipv4' ? 32 : 128
  if (ipFamily(hostname) === 0 || ipFamily(address) === 0) return false
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > bits) return false
  const range = new BlockList()
  range.addSubnet(address, Number(prefix), family(address))
  return range.check(hostname, family(hostname))
}
