import { constants } from 'node:zlib'
import { UsageError } from '../protocol/index.js'

/** The four parameters of RFC 7692, section 7.1, as one side wishes them. Window sizes are base-2 logarithms, 8 to 15. */
export interface DeflateParameters {
  /**
   * The server compresses each message by itself (7.1.1.1). A client asks for it, and then keeps no window; a server does so
   * by itself. Default false.
   */
  readonly serverNoContextTakeover?: boolean | undefined
  /**
   * The client compresses each message by itself (7.1.1.2). A client does so by itself and says it; a server demands it, and
   * then keeps no window. Default false.
   */
  readonly clientNoContextTakeover?: boolean | undefined
  /** The largest window the server compresses with (7.1.2.1). A client asks for it; a server does so by itself. Default 15. */
  readonly serverMaxWindowBits?: number | undefined
  /**
   * The largest window the client compresses with (7.1.2.2). A client's default is 15, or what the server wishes; `false` does
   * not let the server wish. A server's default is to wish for 12 where it may, which is 4 KiB to keep for each connection
   * instead of 32; with a smaller number than 15 it declines clients that cannot be told, and `false` wishes nothing.
   */
  readonly clientMaxWindowBits?: number | false | undefined
}

/** How messages are compressed: `permessage-deflate`, RFC 7692. */
export interface CompressOptions extends DeflateParameters {
  /**
   * Messages of at least this many bytes (of texts: characters) are compressed when nobody says otherwise. Default 128 with
   * context takeover, and 1,024 where each message stands alone: a shorter one hardly gets smaller then. `Infinity` compresses
   * only what is asked for with `compress: true`.
   */
  readonly threshold?: number | undefined
  /** 0 (none) to 9 (smallest), -1 for zlib's own choice, 6. Default -1. */
  readonly level?: number | undefined
  /** 1 to 9: memory for compressing, 2^(9 + memLevel) bytes besides the window. Default 8. */
  readonly memLevel?: number | undefined
  /** One of zlib's: `constants.Z_DEFAULT_STRATEGY`, `Z_FILTERED`, `Z_HUFFMAN_ONLY`, `Z_RLE`, `Z_FIXED`. */
  readonly strategy?: number | undefined
  /** For a client: what to offer to a server that declines the above, in the order of preference (5, 7.1.3). */
  readonly alternatives?: readonly DeflateParameters[] | undefined
}

/**
 * Whether and how to compress.
 *
 * - `'receive'`, the default: the peer may compress, and what it sends is understood; own messages leave as they are, but for
 *   those sent with `compress: true`.
 * - `true`, or {@link CompressOptions}: own messages are compressed too.
 * - `false`: compression is neither offered nor accepted.
 */
export type Compress = boolean | 'receive' | CompressOptions

/** {@link CompressOptions} with every default filled in. */
export interface CompressSettings {
  /** Null for the default. */
  readonly threshold: number | null
  readonly level: number
  readonly memLevel: number
  readonly strategy: number
  /** A client's offers, or a server's wishes (only the first). */
  readonly wishes: readonly [DeflateParameters, ...DeflateParameters[]]
}

const PARAMETERS: Readonly<Record<keyof DeflateParameters, true>> = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  serverMaxWindowBits: true,
  clientMaxWindowBits: true,
}
const OPTIONS: Readonly<Record<keyof CompressOptions, true>> = {
  ...PARAMETERS,
  threshold: true,
  level: true,
  memLevel: true,
  strategy: true,
  alternatives: true,
}

/**
 * Checks the option and fills in the defaults.
 *
 * @returns null for no compression.
 * @throws UsageError `WS_BAD_OPTION` for a value that makes no sense.
 */
export function resolveCompress(given: Compress = 'receive'): CompressSettings | null {
  if (given === false) return null
  const options: CompressOptions = given === 'receive' ? { threshold: Infinity } : given === true ? {} : given
  if (typeof options !== 'object' || options === null) {
    throw bad(`compress must be true, false, 'receive' or an object`)
  }
  requireKnown(options, OPTIONS, 'compress')
  const { threshold = null, alternatives = [], ...rest } = options
  if (options.threshold !== undefined && threshold !== Infinity)
    requireWhole('compress.threshold', options.threshold, 0, Number.MAX_SAFE_INTEGER)
  if (!Array.isArray(alternatives)) throw bad('compress.alternatives must be a list')
  for (const one of alternatives) requireKnown(one, PARAMETERS, 'compress.alternatives')
  const { level = constants.Z_DEFAULT_COMPRESSION, memLevel = constants.Z_DEFAULT_MEMLEVEL } = rest
  const { strategy = constants.Z_DEFAULT_STRATEGY } = rest
  requireWhole('compress.level', level, -1, 9)
  requireWhole('compress.memLevel', memLevel, 1, 9)
  requireWhole('compress.strategy', strategy, constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED)
  return { threshold, level, memLevel, strategy, wishes: [wish(options), ...alternatives.map(wish)] }
}

/** The four parameters, and nothing else. */
function wish(options: DeflateParameters): DeflateParameters {
  const { serverMaxWindowBits, clientMaxWindowBits } = options
  if (serverMaxWindowBits !== undefined)
    requireWhole('compress.serverMaxWindowBits', serverMaxWindowBits, 8, 15)
  if (clientMaxWindowBits !== undefined && clientMaxWindowBits !== false)
    requireWhole('compress.clientMaxWindowBits', clientMaxWindowBits, 8, 15)
  for (const name of ['serverNoContextTakeover', 'clientNoContextTakeover'] as const) {
    const value = options[name]
    if (value !== undefined && typeof value !== 'boolean') throw bad(`compress.${name} must be true or false`)
  }
  const { serverNoContextTakeover, clientNoContextTakeover } = options
  return { serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits }
}

/** A misspelt limit would be none. */
function requireKnown(given: object, known: Readonly<Record<string, true>>, where: string): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw bad(`${where} must be an object`)
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(known, name)) throw bad(`there is no option ${where}.${name}`)
  }
}

function requireWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw bad(
    `${name} must be a whole number from ${least} to ${most}, not ${typeof value === 'number' ? value : typeof value}`,
  )
}

function bad(message: string): UsageError {
  return new UsageError('WS_BAD_OPTION', message)
}
