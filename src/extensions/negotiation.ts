// Strategy: pure functions from parameter lists to what was agreed on. One reader for both directions: offer and answer differ
// only in whether `client_max_window_bits` may go without a value (7.1.2.2). What makes an offer unusable declines that offer
// and the next one is looked at; what makes an answer unusable fails the connection, which the caller does with the words
// given here. Nothing is ever looked up by a name from the wire.
import type { ExtensionOffer } from '../handshake/index.js'
import type { DeflateParameters } from './compress-options.js'

/** The registered name. RFC 7692, section 7. */
export const EXTENSION_NAME = 'permessage-deflate'

/** What both sides agreed on; window sizes are base-2 logarithms. */
export interface DeflateAgreement {
  readonly serverNoContextTakeover: boolean
  readonly clientNoContextTakeover: boolean
  readonly serverMaxWindowBits: number
  readonly clientMaxWindowBits: number
}

const MAX_BITS = 15
/** What a server wishes of clients when nobody says: 4 KiB of window each. Python websockets measured and chose the same. */
const SERVER_WISH_BITS = 12

/** The parameters of one offer or answer. */
interface Params {
  serverNoContextTakeover: boolean
  clientNoContextTakeover: boolean
  /** Null when it is not there. */
  serverMaxWindowBits: number | null
  /** Null when it is not there, `true` when it is there without a value. */
  clientMaxWindowBits: number | true | null
}

/** What a client offers (7.1): one element for each wish. */
export function offerDeflate(wishes: readonly DeflateParameters[]): ExtensionOffer[] {
  return wishes.map(wish => {
    const { clientMaxWindowBits = true } = wish
    const params: [string, string | null][] = []
    if (wish.serverNoContextTakeover === true) params.push(['server_no_context_takeover', null])
    if (wish.clientNoContextTakeover === true) params.push(['client_no_context_takeover', null])
    if (wish.serverMaxWindowBits !== undefined)
      params.push(['server_max_window_bits', String(wish.serverMaxWindowBits)])
    if (clientMaxWindowBits !== false)
      params.push([
        'client_max_window_bits',
        clientMaxWindowBits === true ? null : String(clientMaxWindowBits),
      ])
    return { name: EXTENSION_NAME, params }
  })
}

/**
 * Chooses among a client's offers, in its order of preference (5).
 *
 * @returns what was agreed on and the answer that says so; null when there is no offer that can be accepted.
 */
export function acceptDeflate(
  offers: readonly ExtensionOffer[],
  wish: DeflateParameters,
): { readonly agreement: DeflateAgreement; readonly answer: ExtensionOffer } | null {
  for (const { name, params } of offers) {
    if (name !== EXTENSION_NAME) continue
    const offer = readParams(params, 'offer')
    // 7: unknown, repeated and impossible parameters decline the offer.
    if (typeof offer === 'string') continue
    // 7.1.2.2: only a client that offered it can be told a window, and who insists on one declines the others.
    const tellable = offer.clientMaxWindowBits !== null
    if (!tellable && typeof wish.clientMaxWindowBits === 'number' && wish.clientMaxWindowBits < MAX_BITS)
      continue
    return accept(offer, wish)
  }
  return null
}

function accept(
  offer: Params,
  wish: DeflateParameters,
): { readonly agreement: DeflateAgreement; readonly answer: ExtensionOffer } {
  const serverNoContextTakeover = offer.serverNoContextTakeover || wish.serverNoContextTakeover === true
  // The client's word is a hint (7.1.1.2); taken up, neither side keeps a window in vain.
  const clientNoContextTakeover = offer.clientNoContextTakeover || wish.clientNoContextTakeover === true
  // 7.1.2.1: the same or smaller.
  const serverMaxWindowBits = Math.min(
    offer.serverMaxWindowBits ?? MAX_BITS,
    wish.serverMaxWindowBits ?? MAX_BITS,
  )
  let clientMaxWindowBits = MAX_BITS
  if (offer.clientMaxWindowBits !== null && wish.clientMaxWindowBits !== false) {
    const hint = offer.clientMaxWindowBits === true ? MAX_BITS : offer.clientMaxWindowBits
    clientMaxWindowBits = Math.min(hint, wish.clientMaxWindowBits ?? SERVER_WISH_BITS)
  }
  const params: [string, string | null][] = []
  if (serverNoContextTakeover) params.push(['server_no_context_takeover', null])
  if (clientNoContextTakeover) params.push(['client_no_context_takeover', null])
  if (offer.serverMaxWindowBits !== null || serverMaxWindowBits < MAX_BITS)
    params.push(['server_max_window_bits', String(serverMaxWindowBits)])
  if (clientMaxWindowBits < MAX_BITS) params.push(['client_max_window_bits', String(clientMaxWindowBits)])
  return {
    agreement: { serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits },
    answer: { name: EXTENSION_NAME, params },
  }
}

/**
 * Checks a server's answer against what was offered.
 *
 * @returns what was agreed on; or, in words, why the connection must be failed (5.1, 7).
 */
export function verifyDeflate(
  answer: ExtensionOffer,
  offered: readonly DeflateParameters[],
): DeflateAgreement | string {
  const params = readParams(answer.params, 'answer')
  if (typeof params === 'string') return params
  const faults = offered.map(wish => mismatch(params, wish))
  // Which of them the server has accepted is not said: what is promised in any that it may be is kept.
  const fitting = offered.filter((_, i) => faults[i] === null)
  return fitting.length === 0 ? faults[0]! : agree(params, fitting)
}

/** Why an answer does not fit an offer, null when it does. */
function mismatch(answer: Params, wish: DeflateParameters): string | null {
  // 7.1.1.1, 7.1.2.1: a server accepts a request by repeating it.
  if (wish.serverNoContextTakeover === true && !answer.serverNoContextTakeover) {
    return 'server_no_context_takeover was asked for'
  }
  if (wish.serverMaxWindowBits !== undefined) {
    if (answer.serverMaxWindowBits === null) return 'server_max_window_bits was asked for'
    if (answer.serverMaxWindowBits > wish.serverMaxWindowBits)
      return 'server_max_window_bits is larger than asked for'
  }
  // 7.1.2.2: MUST NOT be in an answer when it was not in the offer.
  if (wish.clientMaxWindowBits === false && answer.clientMaxWindowBits !== null) {
    return 'client_max_window_bits was not offered'
  }
  return null
}

function agree(answer: Params, wishes: readonly DeflateParameters[]): DeflateAgreement {
  const limit = typeof answer.clientMaxWindowBits === 'number' ? answer.clientMaxWindowBits : MAX_BITS
  const own = wishes.map(({ clientMaxWindowBits: bits }) => (typeof bits === 'number' ? bits : MAX_BITS))
  const alone = wishes.some(({ clientNoContextTakeover }) => clientNoContextTakeover === true)
  return {
    serverNoContextTakeover: answer.serverNoContextTakeover,
    clientNoContextTakeover: answer.clientNoContextTakeover || alone,
    serverMaxWindowBits: answer.serverMaxWindowBits ?? MAX_BITS,
    // 7.1.2.2: the value in an offer is a promise whatever the answer says.
    clientMaxWindowBits: Math.min(limit, ...own),
  }
}

/** Reads a list of parameters; in words what is wrong with it. Quoted values were unquoted by the header's parser. */
function readParams(
  params: readonly (readonly [string, string | null])[],
  direction: 'offer' | 'answer',
): Params | string {
  const found: Params = {
    serverNoContextTakeover: false,
    clientNoContextTakeover: false,
    serverMaxWindowBits: null,
    clientMaxWindowBits: null,
  }
  const seen = new Set<string>()
  for (const [name, value] of params) {
    // 7: multiple parameters with the same name.
    if (seen.has(name)) return `${name} comes twice`
    seen.add(name)
    switch (name) {
      case 'server_no_context_takeover':
      case 'client_no_context_takeover':
        if (value !== null) return `${name} takes no value`
        if (name === 'server_no_context_takeover') found.serverNoContextTakeover = true
        else found.clientNoContextTakeover = true
        break
      case 'server_max_window_bits':
        found.serverMaxWindowBits = windowBits(value)
        if (found.serverMaxWindowBits === null) return `${name} is not 8 to 15`
        break
      case 'client_max_window_bits':
        found.clientMaxWindowBits = value === null && direction === 'offer' ? true : windowBits(value)
        if (found.clientMaxWindowBits === null) return `${name} is not 8 to 15`
        break
      default:
        return 'it has an unknown parameter'
    }
  }
  return found
}

/** 7.1.2: a decimal number from 8 to 15 without leading zeros. */
function windowBits(value: string | null): number | null {
  return value !== null && /^(?:[89]|1[0-5])$/.test(value) ? Number(value) : null
}
