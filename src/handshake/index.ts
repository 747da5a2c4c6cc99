export { type ClientRequest, encodeRequest, unexpectedStatus, verifyResponse } from './client.js'
export { type ConnectRequest, encodeConnect } from './connect-request.js'
export {
  HandshakeError,
  type HandshakeErrorCode,
  type HandshakeErrorOptions,
  type RefusedResponse,
} from './handshake-error.js'
export { type HeadLimits, resolveHeadLimits } from './head-limits.js'
export { HeadReader, type HeadResult } from './head-reader.js'
export {
  type Agreement,
  type ExtensionOffer,
  type HeaderList,
  headerValue,
  headerValues,
  type RequestHead,
  type ResponseHead,
} from './head.js'
export { formatExtensionList, parseExtensionList, parseTokenList } from './header-values.js'
export { InvalidHeadError } from './invalid-head-error.js'
export { acceptKey, generateKey } from './key.js'
export { encodeReject, type RejectBody } from './reject.js'
export { ResponseBody } from './response-body.js'
export { encodeAccept, parseUpgrade, type UpgradeRequest } from './server.js'
