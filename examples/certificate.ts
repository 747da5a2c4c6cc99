// Strategy: TLS needs a certificate even for a try on one's own machine, and node:crypto makes keys and signatures but no
// certificates. So this writes the X.509 structure (RFC 5280 section 4.1) by hand, as DER, and signs it: ECDSA with P-256
// and SHA-256 only. DER is nested `tag length content`; each function below makes one such element.
//
// Good for examples and tests. A server on the open network wants a certificate from an authority.

import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto'
import { isIP, isIPv4 } from 'node:net'

/**
 * A certificate and its private key, both PEM: what `tls.createServer` and `https.createServer` take.
 */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/**
 * What the certificate says.
 */
export interface CertificateOptions {
  /** Default: the first of `names`. */
  readonly commonName?: string
  /** DNS names and IP addresses that it is for. Default `localhost`, `127.0.0.1` and `::1`. */
  readonly names?: readonly string[]
  /** Default: one hour ago. */
  readonly notBefore?: Date
  /** Default: a day from now. */
  readonly notAfter?: Date
  /** Who signs it. Default: itself. */
  readonly issuer?: Certificate
  /** Whether it may sign others. Default `false`. */
  readonly authority?: boolean
}

const HOUR_MS = 3_600_000

/**
 * Makes a certificate with a new key.
 */
export const makeCertificate = (options: CertificateOptions = {}): Certificate => {
  const names = options.names ?? ['localhost', '127.0.0.1', '::1']
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const publicInfo = publicKey.export({ type: 'spki', format: 'der' })
  const subject = name(options.commonName ?? names[0] ?? 'sansocket')
  const issuer = options.issuer === undefined ? subject : subjectOf(options.issuer)
  const validity = [
    options.notBefore ?? new Date(Date.now() - HOUR_MS),
    options.notAfter ?? new Date(Date.now() + 24 * HOUR_MS),
  ]
  const body = sequence(
    explicit(0, integer(Buffer.of(2))), // version 3
    integer(Buffer.concat([Buffer.of(1), randomBytes(15)])), // serial number: positive, at most 20 bytes
    ECDSA_WITH_SHA256,
    issuer,
    sequence(...validity.map(time)),
    subject,
    publicInfo,
    explicit(3, sequence(...extensions(names, options, publicInfo))),
  )
  const signature = sign(
    'sha256',
    body,
    options.issuer === undefined ? privateKey : createPrivateKey(options.issuer.key),
  )
  const der = sequence(body, ECDSA_WITH_SHA256, bitString(signature))
  return { cert: pem(der), key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })) }
}

const element = (tag: number, ...contents: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(contents)
  const { length } = content
  // X.690 8.1.3: up to 127 in one byte, else the count of length bytes and those bytes.
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...head), content])
}
const sequence = (...parts: readonly Uint8Array[]): Buffer => element(0x30, ...parts)
const set = (...parts: readonly Uint8Array[]): Buffer => element(0x31, ...parts)
const explicit = (tag: number, part: Uint8Array): Buffer => element(0xa0 + tag, part)
const integer = (bytes: Uint8Array): Buffer => element(0x02, bytes)
const octets = (bytes: Uint8Array): Buffer => element(0x04, bytes)
const bitString = (bytes: Iterable<number>, unusedBits = 0): Buffer =>
  element(0x03, Uint8Array.of(unusedBits, ...bytes))
const utf8 = (text: string): Buffer => element(0x0c, Buffer.from(text))
const TRUE = element(0x01, Buffer.of(0xff))

/** An object identifier, given as its content in hexadecimal. */
const oid = (hex: string): Buffer => element(0x06, Buffer.from(hex, 'hex'))

const ECDSA_WITH_SHA256 = sequence(oid('2a8648ce3d040302')) // 1.2.840.10045.4.3.2

const name = (commonName: string): Buffer => sequence(set(sequence(oid('550403'), utf8(commonName)))) // 2.5.4.3

/** GeneralizedTime, `YYYYMMDDHHMMSSZ`; RFC 5280 section 4.1.2.5 wants UTCTime (two digits of the year) before 2050. */
const time = (date: Date): Buffer => {
  const digits = `${date.toISOString().replace(/\..*|\D/g, '')}Z`
  return date.getUTCFullYear() < 2050
    ? element(0x17, Buffer.from(digits.slice(2)))
    : element(0x18, Buffer.from(digits))
}

const keyIdentifier = (publicInfo: Uint8Array): Buffer => createHash('sha1').update(publicInfo).digest()

const extensions = (
  names: readonly string[],
  { authority, issuer }: CertificateOptions,
  publicInfo: Uint8Array,
): Buffer[] => {
  const list = [
    // basicConstraints, critical
    sequence(oid('551d13'), TRUE, octets(sequence(...(authority === true ? [TRUE] : [])))),
    // keyUsage, critical: keyCertSign is bit 5, digitalSignature bit 0
    sequence(oid('551d0f'), TRUE, octets(authority === true ? bitString([0x04], 2) : bitString([0x80], 7))),
    // subjectKeyIdentifier
    sequence(oid('551d0e'), octets(octets(keyIdentifier(publicInfo)))),
  ]
  if (names.length > 0) list.push(sequence(oid('551d11'), octets(sequence(...names.map(altName))))) // subjectAltName
  if (issuer !== undefined) {
    const issuerInfo = new X509Certificate(issuer.cert).publicKey.export({ type: 'spki', format: 'der' })
    // authorityKeyIdentifier, which strict verifiers (Python's, since 3.13) insist on
    list.push(sequence(oid('551d23'), octets(sequence(element(0x80, keyIdentifier(issuerInfo))))))
  }
  return list
}

const altName = (text: string): Buffer =>
  isIP(text) !== 0 ? element(0x87, ipBytes(text)) : element(0x82, Buffer.from(text, 'ascii'))

/** An address as 4 or 16 bytes. The mixed form `::ffff:1.2.3.4` is not taken. */
const ipBytes = (text: string): Buffer => {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number))
  const [head, tail] = text.split('::').map(half => half.split(':').filter(group => group !== ''))
  const zeros = Array.from({ length: 8 - head.length - (tail?.length ?? 0) }, () => '0')
  const groups = [...head, ...zeros, ...(tail ?? [])]
  return Buffer.from(groups.map(group => group.padStart(4, '0')).join(''), 'hex')
}

const pem = (der: Uint8Array): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(der)
    .toString('base64')
    .replace(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`

/** The subject of a certificate that {@link makeCertificate} made: a name of one part. */
const subjectOf = (certificate: Certificate): Buffer =>
  name(new X509Certificate(certificate.cert).subject.replace(/^CN=/, ''))
