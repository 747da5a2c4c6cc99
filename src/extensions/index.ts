// permessage-deflate, RFC 7692: its negotiation, and what it does to messages.
export {
  type Compress,
  type CompressOptions,
  type CompressSettings,
  type DeflateParameters,
  resolveCompress,
} from './compress-options.js'
export {
  acceptDeflate,
  type DeflateAgreement,
  EXTENSION_NAME,
  offerDeflate,
  verifyDeflate,
} from './negotiation.js'
export { zlibWork } from './work-queue.js'
export { PerMessageDeflate } from './permessage-deflate.js'
