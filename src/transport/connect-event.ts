import type { HeaderList } from '../handshake/index.js'

/**
 * One step of connecting, told when it is done (a step that failed is told by the error). Durations are in milliseconds.
 * Header values are as they are on the wire: whoever prints them hides the secrets.
 */
export type ConnectEvent =
  | {
      readonly type: 'domain-lookup'
      readonly hostname: string
      readonly addresses: readonly string[]
      readonly ms: number
    }
  | {
      readonly type: 'connect'
      /** Where to: `host:port`, or the path of a unix socket; the first proxy's where there are proxies. */
      readonly peer: string
      readonly remoteAddress: string | null
      readonly ms: number
    }
  | {
      readonly type: 'proxy'
      /** The proxy that opened the tunnel, `http://host:port` without user info, and where the tunnel leads to. */
      readonly proxy: string
      readonly peer: string
      readonly ms: number
    }
  | {
      readonly type: 'tls'
      readonly peer: string
      readonly protocol: string | null
      readonly cipher: string | null
      readonly ms: number
    }
  | { readonly type: 'request'; readonly url: string; readonly headers: HeaderList }
  | {
      readonly type: 'response'
      readonly url: string
      readonly status: number
      readonly headers: HeaderList
      readonly ms: number
    }
  | { readonly type: 'redirect'; readonly from: string; readonly to: string; readonly status: number }
