// Strategy: every contestant has one colour on the whole page. Those that are known have theirs here; the others get what is
// left, in alphabetical order of all names in the result file. Variants of a contestant ("ws, Buffer only") share its colour and
// are dashed. Grey is for floors: what does nothing but move bytes, or is the part nobody can do without.
import { ours } from '../report.js'

/** A colour on a light and on a dark ground. */
export interface Colour {
  readonly light: string
  readonly dark: string
}

/** How a contestant is drawn. */
export interface Look {
  /** Index into the palette's colours. */
  readonly colour: number
  readonly dashed: boolean
  readonly isOurs: boolean
}

/** The colours of a page, and who has which. */
export interface Palette {
  readonly colours: readonly Colour[]
  readonly look: (name: string) => Look
}

const FLOOR = 'floor'

const known: readonly (readonly [string, Colour])[] = [
  [ours, { light: '#d9480f', dark: '#ff8c42' }],
  [FLOOR, { light: '#7d858d', dark: '#9aa4ae' }],
  ['ws', { light: '#1864ab', dark: '#6cb6ff' }],
  ['ws alone', { light: '#6a9fd0', dark: '#3f7fc0' }],
  ['undici', { light: '#2b8a3e', dark: '#69db7c' }],
  ['faye-websocket', { light: '#862e9c', dark: '#d59af0' }],
  ['websocket', { light: '#a87900', dark: '#f2cc4d' }],
]

const spare: readonly Colour[] = [
  { light: '#0b7a8c', dark: '#4dd0e1' },
  { light: '#c2255c', dark: '#ff9fc0' },
  { light: '#7a4b1e', dark: '#d3a878' },
  { light: '#4b3bb5', dark: '#a99cf5' },
  { light: '#5c7a00', dark: '#b8d94a' },
  { light: '#3f5f6f', dark: '#a9c7d6' },
  { light: '#24292f', dark: '#f0f0f0' },
]

/** Whether this only moves bytes, or is no library at all: to be slower than it is no loss. */
export const isFloor = (name: string): boolean => /^(bare|raw)\b|^\(/i.test(name)

/** Whether this was taken out of everybody's time, and is nobody. */
export const isOverhead = (name: string): boolean => name.startsWith('(') && name.includes('taken out')

/** A contestant without what tells its variants apart. */
function family(name: string): string {
  if (isFloor(name)) return FLOOR
  if (name.startsWith(ours)) return ours
  if (name.startsWith('ws alone')) return 'ws alone'
  return name.replace(/(, | \+ | \().*$/, '')
}

/** Whether it is another's name with something added: "ws, Buffer only" where there is "ws". */
function isVariant(name: string, names: readonly string[]): boolean {
  return names.some(other => name.startsWith(other) && /^(, | \()/.test(name.slice(other.length)))
}

/** @param names - of all contestants on the page. */
export function makePalette(names: readonly string[]): Palette {
  const families = known.map(([name]) => name)
  const others = new Set(names.map(family).filter(name => !families.includes(name)))
  families.push(...[...others].toSorted())
  const colours = families.map((_, i) => known[i]?.[1] ?? spare[(i - known.length) % spare.length])
  return {
    colours,
    look(name) {
      const of = family(name)
      const dashed = of === FLOOR ? name.startsWith('(') : isVariant(name, names)
      return { colour: Math.max(0, families.indexOf(of)), dashed, isOurs: of === ours }
    },
  }
}
