import { isIPv4, isIPv6 } from 'node:net'

/**
 * The version of the Internet Protocol; 0 stands for either or none.
 */
export type IpFamily = 0 | 4 | 6

/**
 * The family of an address, or 0 for a text that is none.
 */
export const ipFamily = (text: string): IpFamily => (isIPv4(text) ? 4 : isIPv6(text) ? 6 : 0)
