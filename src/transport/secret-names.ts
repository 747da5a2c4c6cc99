// Strategy: what names itself a secret is one. The same names are masked in what is shown of a connection, and are not taken
// along to another origin. Names are read as words, so that `keyword` and `author` are none.
/** Parts of names that are hardly ever part of another word. */
const TELLING =
  /token|secret|passw|pass ?phrase|pass ?code|signature|(?:api|access|private) ?key|credential|authorization|session|cookie|jwt|bearer/

/** Words that tell a secret when they stand alone in a name. */
const TELLING_WORDS = new Set(['auth', 'oauth', 'sig', 'sid', 'pwd', 'pass', 'otp', 'hmac'])

/** Words that do so in headers and parameters; in a text they are mostly something else. */
const SECRET_WORDS = new Set([
  'key',
  'code',
  'sign',
  'pin',
  'ticket',
  'authentication',
  'assertion',
  'verifier',
])

/** `accessToken`, `X-Amz-Signature` and `key2` in words, in lower case. */
const wordsOf = (name: string): string[] =>
  name
    .replaceAll(/([a-z\d])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z]+/)

/** Whether a name says of itself, even in the middle of a text, that its value is a secret: `token`, `"apiKey"`. */
export function isTellingName(name: string): boolean {
  const words = wordsOf(name)
  return TELLING.test(words.join(' ')) || words.some(word => TELLING_WORDS.has(word))
}

/** Whether a header or the parameter of a URL of that name is a secret; in any case, with any separators. */
export function isSecretName(name: string): boolean {
  return isTellingName(name) || wordsOf(name).some(word => SECRET_WORDS.has(word))
}

/** What ends a part of a subprotocol: `bearer.<token>`, `api-key:<key>`. */
const SUBPROTOCOL_PARTS = /[.:|=~+]/

/** JSON in base64url, as JSON Web Tokens begin; 32 characters in a row with a digit: an opaque token, and hardly a name. */
const TOKEN_LIKE = /\beyJ[\w-]{4}|(?=[A-Za-z_-]*\d)[\w-]{32}/

/**
 * Subprotocols without those that may carry a credential, as browsers can send it in no other header. It is one of these:
 * a part of it is a secret's name (`bearer.<token>`, and `access_token` alone); the last part of the one before it is
 * (`access_token, <token>`); it looks like a token (`eyJ…`, or 32 letters, digits, `-` and `_` in a row with a digit).
 */
export function withoutTokens(subprotocols: readonly string[]): readonly string[] {
  const parts = subprotocols.map(one => one.split(SUBPROTOCOL_PARTS))
  return subprotocols.filter(
    (one, at) =>
      !parts[at].some(isSecretName) &&
      !(at > 0 && isSecretName(parts[at - 1].at(-1)!)) &&
      !TOKEN_LIKE.test(one),
  )
}
