import { isBypassed } from './no-proxy.js'
import type { Peer } from './target.js'

/**
 * The proxy that the environment asks for, or null for none: `https_proxy` for secure targets and `http_proxy` for the
 * others, then `all_proxy`, unless `no_proxy` takes the host out. Each name is also looked for in upper case; lower case
 * wins, and an empty value is as good as none. Pure.
 *
 * In a CGI program (`REQUEST_METHOD` is set) `HTTP_PROXY` is what the client sent as a header `Proxy`, and is ignored
 * (CVE-2016-5385); so is `http_proxy` on Windows, where the two are one.
 *
 * @param env - the environment, such as `process.env`.
 * @param platform - decides whether names of variables differ by case.
 * @returns the URL, with `http://` before one without a scheme, and the name of its variable.
 */
export const proxyFromEnv = (
  { secure, hostname, port, socketPath }: Peer,
  env: Readonly<Record<string, string | undefined>>,
  platform: string = process.platform,
): { readonly name: string; readonly url: string } | null => {
  // No variable speaks of unix sockets.
  if (socketPath !== null) return null
  const isCgi = value(env, 'REQUEST_METHOD') !== ''
  const names = secure
    ? ['https_proxy', 'HTTPS_PROXY']
    : isCgi
      ? platform === 'win32'
        ? []
        : ['http_proxy']
      : ['http_proxy', 'HTTP_PROXY']
  const name = [...names, 'all_proxy', 'ALL_PROXY'].find(one => value(env, one) !== '')
  if (name === undefined) return null
  if (isBypassed(value(env, 'no_proxy') || value(env, 'NO_PROXY'), hostname, port)) return null
  const url = value(env, name)
  return { name, url: url.includes('://') ? url : `http://${url}` }
}

const value = (env: Readonly<Record<string, string | undefined>>, name: string): string =>
  env[name]?.trim() ?? ''
