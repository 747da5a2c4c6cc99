import {
  acceptDeflate,
  type CompressSettings,
  type DeflateAgreement,
  EXTENSION_NAME,
  PerMessageDeflate,
  verifyDeflate,
} from '../extensions/index.js'
import {
  type Agreement,
  type ExtensionOffer,
  HandshakeError,
  type ResponseHead,
  type UpgradeRequest,
} from '../handshake/index.js'

import type { SocketOrigin } from './socket-outcome.js'

const NONE: readonly ExtensionOffer[] = []
const NO_BODY = new Uint8Array(0)

/**
 * What a server's answer says of compression; null when it accepted none.
 *
 * @throws HandshakeError `WS_HANDSHAKE_BAD_EXTENSIONS` for an answer that does not fit the offer (RFC 7692, section 7: MUST fail
 * the connection).
 */
export function agreedDeflate(
  agreement: Agreement,
  head: ResponseHead,
  settings: CompressSettings | null,
): DeflateAgreement | null {
  const answer = agreement.extensions.find(({ name }) => name === EXTENSION_NAME)
  // An extension that was not offered was refused before.
  if (answer === undefined || settings === null) return null
  const deflate = verifyDeflate(answer, settings.wishes)
  if (typeof deflate !== 'string') return deflate
  const { status, reason, headers } = head
  const response = { status, reason, headers, body: NO_BODY }
  throw new HandshakeError('WS_HANDSHAKE_BAD_EXTENSIONS', { detail: deflate, response })
}

/** What a server accepts of a client's offers, and the extensions that its answer names. */
export function chosenDeflate(
  upgrade: UpgradeRequest,
  settings: CompressSettings | null,
): { readonly deflate: DeflateAgreement | null; readonly extensions: readonly ExtensionOffer[] } {
  const accepted = settings === null ? null : acceptDeflate(upgrade.extensions, settings.wishes[0])
  if (accepted === null) return { deflate: null, extensions: NONE }
  return { deflate: accepted.agreement, extensions: [accepted.answer] }
}

/** What compresses the messages of a connection; null where nothing was agreed on. */
export function deflateOf(
  { role, deflate }: SocketOrigin,
  settings: CompressSettings | null,
): PerMessageDeflate | null {
  return deflate === null || settings === null ? null : new PerMessageDeflate(role, deflate, settings)
}
