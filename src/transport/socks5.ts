// Strategy: RFC 1928 is a conversation of at most three questions, so it is written down as one: a generator says its
// bytes and gets the answer byte by byte. An answer is 262 bytes at the longest, so nothing has to be fast, and how the
// bytes were cut cannot matter. Each fault shows at its own byte: a refusal that ends behind its code is a refusal.
//
//   methods ──▶        05 n methods
//           ◀── 05 method
//   [user, password ──▶   01 n user n password          RFC 1929
//           ◀── 01 status]
//   connect ──▶        05 01 00 address port
//           ◀── 05 reply 00 address port
import { ConnectionError } from './connection-error.js'
import { ipFamily } from './ip-family.js'
import { type Negotiation, type NegotiationStep, WAITING } from './negotiation.js'

const VERSION = 5
const CONNECT = 1
const NO_AUTHENTICATION = 0
const USER_AND_PASSWORD = 2
const NO_ACCEPTABLE_METHOD = 0xff
/** RFC 1929: the version of the sub-negotiation. */
const AUTH_VERSION = 1
const ADDRESS = { ipv4: 1, name: 3, ipv6: 4 } as const

/** RFC 1928 section 6, in the words of gun. */
const REPLIES: readonly string[] = [
  'succeeded',
  'general-socks-server-failure',
  'connection-not-allowed-by-ruleset',
  'network-unreachable',
  'host-unreachable',
  'connection-refused',
  'ttl-expired',
  'command-not-supported',
  'address-type-not-supported',
]

const NOTHING = new Uint8Array(0)

/**
 * A user and a password for RFC 1929, each of at most 255 bytes.
 */
export interface Socks5Credentials {
  readonly user: Uint8Array
  readonly password: Uint8Array
}

/**
 * Asks a SOCKS5 proxy for a tunnel. Names are resolved there.
 */
export class Socks5 implements Negotiation {
  /** The methods that will do. With credentials, a proxy may still choose to ask for none. */
  readonly opening: Uint8Array
  /** Always null: a refusal has no explanation that could be waited for. */
  readonly refusal: null = null
  readonly #peer: string
  readonly #script: Generator<Uint8Array, void, number>
  #failure: ConnectionError | null = null
  #open = false

  /**
   * @param request - from {@link encodeSocks5Connect}.
   * @param peer - what errors call the proxy.
   */
  constructor(request: Uint8Array, credentials: Socks5Credentials | null, peer: string) {
    this.#peer = peer
    this.#script = this.#talk(request, credentials)
    this.opening = this.#script.next().value as Uint8Array
  }

  /** Takes the next bytes; see {@link Negotiation.receive}. */
  receive(chunk: Uint8Array): NegotiationStep {
    if (this.#failure !== null) throw this.#failure
    if (this.#open) return { output: NOTHING, rest: chunk }
    const said: Uint8Array[] = []
    for (let at = 0; at < chunk.length; at++) {
      const { value, done } = this.#script.next(chunk[at])
      if (done === true) {
        this.#open = true
        return { output: Buffer.concat(said), rest: chunk.subarray(at + 1) }
      }
      if (value.length > 0) said.push(value)
    }
    return said.length === 0 ? WAITING : { output: Buffer.concat(said), rest: null }
  }

  /** Each `yield` says something, or nothing, and gets the next byte. */
  *#talk(request: Uint8Array, credentials: Socks5Credentials | null): Generator<Uint8Array, void, number> {
    const methods = credentials === null ? [NO_AUTHENTICATION] : [NO_AUTHENTICATION, USER_AND_PASSWORD]
    this.#expectVersion(yield Uint8Array.of(VERSION, methods.length, ...methods), VERSION)
    const method = yield NOTHING
    if (method === NO_ACCEPTABLE_METHOD) this.#fail('WS_PROXY_REFUSED', 'no-acceptable-auth-method')
    if (!methods.includes(method)) this.#fail('WS_PROXY_FAILED', 'unexpected-auth-method')
    if (method === USER_AND_PASSWORD) {
      this.#expectVersion(yield encodeCredentials(credentials!), AUTH_VERSION)
      // RFC 1929 section 2: anything but 0 is a failure.
      if ((yield NOTHING) !== 0) this.#fail('WS_PROXY_REFUSED', 'username-password-auth-failure')
    }
    this.#expectVersion(yield request, VERSION)
    const reply = yield NOTHING
    if (reply !== 0) this.#fail('WS_PROXY_REFUSED', REPLIES[reply] ?? `unknown-error-${reply}`)
    // Reserved, and nobody looks at it.
    yield NOTHING
    // Where the proxy connects from: of no use, but it has to be passed over.
    const type = yield NOTHING
    let length: number
    if (type === ADDRESS.ipv4) length = 4
    else if (type === ADDRESS.ipv6) length = 16
    else if (type === ADDRESS.name) length = yield NOTHING
    else this.#fail('WS_PROXY_FAILED', 'unknown-address-type')
    for (let i = 0; i < length + 2; i++) yield NOTHING
  }

  #expectVersion(byte: number, version: number): void {
    if (byte !== version) this.#fail('WS_PROXY_FAILED', 'not-socks5')
  }

  #fail(code: 'WS_PROXY_REFUSED' | 'WS_PROXY_FAILED', detail: string): never {
    this.#failure = new ConnectionError(code, this.#peer, { detail })
    throw this.#failure
  }
}

/** RFC 1929 section 2. */
const encodeCredentials = ({ user, password }: Socks5Credentials): Uint8Array =>
  Uint8Array.of(AUTH_VERSION, user.length, ...user, password.length, ...password)

/**
 * Writes the request of RFC 1928 section 4. Pure.
 *
 * @param hostname - a name of at most 255 bytes, or an IP address without brackets.
 */
export const encodeSocks5Connect = (hostname: string, port: number): Uint8Array =>
  Uint8Array.of(VERSION, CONNECT, 0, ...encodeAddress(hostname), port >> 8, port & 0xff)

const encodeAddress = (hostname: string): number[] => {
  const family = ipFamily(hostname)
  if (family === 4) return [ADDRESS.ipv4, ...hostname.split('.').map(Number)]
  if (family === 6) return [ADDRESS.ipv6, ...ipv6Bytes(hostname)]
  const name = Buffer.from(hostname)
  return [ADDRESS.name, name.length, ...name]
}

const ipv6Bytes = (address: string): number[] => {
  // The URL parser writes every address in one way: hexadecimal groups, the longest run of zeros as `::`.
  const [head, tail] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::').map(groups)
  const all = tail === undefined ? head : [...head, ...zeros(8 - head.length - tail.length), ...tail]
  return all.flatMap(group => [group >> 8, group & 0xff])
}

const groups = (text: string): number[] =>
  text === '' ? [] : text.split(':').map(group => Number.parseInt(group, 16))

const zeros = (count: number): number[] => Array.from({ length: count }, () => 0)
