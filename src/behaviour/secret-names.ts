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
