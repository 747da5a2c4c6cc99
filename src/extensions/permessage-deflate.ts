import type { MessageTransform, Role } from '../protocol/index.js'
import type { CompressSettings } from './compress-options.js'
import { Deflater } from './deflater.js'
import { Inflater } from './inflater.js'
import type { DeflateAgreement } from './negotiation.js'

/** `permessage-deflate` for one connection, as it was agreed on. RFC 7692, section 7. */
export class PerMessageDeflate implements MessageTransform {
  /** 6: the "Per-Message Compressed" bit is RSV1. */
  readonly rsv = 4
  readonly incoming: Inflater
  readonly outgoing: Deflater
  onReady: (() => void) | null = null

  constructor(role: Role, agreement: DeflateAgreement, settings: CompressSettings) {
    const ready = (): void => this.onReady?.()
    const server = { bits: agreement.serverMaxWindowBits, takeover: !agreement.serverNoContextTakeover }
    const client = { bits: agreement.clientMaxWindowBits, takeover: !agreement.clientNoContextTakeover }
    const [own, peer] = role === 'server' ? [server, client] : [client, server]
    this.incoming = new Inflater(peer.bits, peer.takeover, ready)
    this.outgoing = new Deflater(own.bits, own.takeover, settings, ready)
  }

  close(): void {
    this.onReady = null
    this.incoming.close()
    this.outgoing.close()
  }
}
