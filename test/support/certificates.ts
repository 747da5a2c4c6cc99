import { type Certificate, makeCertificate } from '../../examples/certificate.js'

/** The authority that signs what tests trust: give its `cert` as `ca`. */
export const authority: Certificate = makeCertificate({
  commonName: 'Test authority',
  names: [],
  authority: true,
})

/** Everything that can be right or wrong about a server's certificate. */
export const certificates = {
  /** Good for localhost, 127.0.0.1 and ::1. */
  valid: makeCertificate({ issuer: authority }),
  expired: makeCertificate({
    issuer: authority,
    notBefore: new Date('2001-01-01'),
    notAfter: new Date('2001-12-31'),
  }),
  notYetValid: makeCertificate({
    issuer: authority,
    notBefore: new Date('2049-12-31'),
    notAfter: new Date('2050-01-01'),
  }),
  wrongHost: makeCertificate({ issuer: authority, names: ['elsewhere.test'] }),
  /** Right in all but the signature, which is its own. */
  selfSigned: makeCertificate(),
} as const satisfies Record<string, Certificate>
