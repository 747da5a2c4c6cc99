// Strategy: an SVG is a string, made by three functions. It is shown by an `<img>`, where nothing of the page's style reaches
// it and no script runs, so it brings its own ground and its own colours for light and dark readers. Contestants' colours are
// classes that set `color`; shapes say whether they fill or stroke with it. Classes have short names since they are repeated.
import type { Palette } from './contestants.js'

/** Coordinates have one decimal. */
export function coordinate(value: number): string {
  return String(Math.round(value * 10) / 10)
}

/** Text as it may stand in an element or an attribute. */
export function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

/** An element; numbers become coordinates, and children are markup already. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  children = '',
): string {
  const all = Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${typeof value === 'number' ? coordinate(value) : escape(value)}"`)
    .join('')
  return children === '' ? `<${name}${all}/>` : `<${name}${all}>${children}</${name}>`
}

/** Where a text is anchored, and its class: `t` title, `b` bold, `m` muted, none for plain. */
export interface TextStyle {
  readonly class?: 't' | 'b' | 'm'
  readonly anchor?: 'middle' | 'end'
}

/** A line of text, its baseline at `y`. */
export function text(x: number, y: number, content: string, style: TextStyle = {}): string {
  const { class: name, anchor } = style
  return element(
    'text',
    { x, y, ...(name && { class: name }), ...(anchor && { 'text-anchor': anchor }) },
    escape(content),
  )
}

/** About how wide a text of twelve pixels is; rather too wide than too narrow. */
export const textWidth = (content: string, isBold = false): number => content.length * (isBold ? 7.4 : 6.7)

/** What an SVG is, beside what is drawn. */
export interface Sheet {
  readonly width: number
  readonly height: number
  readonly title: string
  /** What is drawn, in words. */
  readonly description: string
  readonly palette: Palette
}

const shared = [
  'text{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif}',
  '.t{font-size:15px;font-weight:600}.b{font-weight:600}',
  '.l{fill:none;stroke:currentColor;stroke-width:1.7;stroke-linejoin:round}.o{stroke-width:3}',
  '.d{stroke-dasharray:5 3}.q{fill:none;stroke:currentColor;stroke-width:1;opacity:.55}',
  '.p{fill:currentColor}.g{fill:none;stroke-width:1}',
].join('')

interface Ground {
  readonly ground: string
  readonly frame: string
  readonly ink: string
  readonly muted: string
  readonly grid: string
}

const light: Ground = {
  ground: '#ffffff',
  frame: '#d0d7de',
  ink: '#1f2328',
  muted: '#59636e',
  grid: '#e4e8ec',
}
const dark: Ground = {
  ground: '#0d1117',
  frame: '#30363d',
  ink: '#e6edf3',
  muted: '#9198a1',
  grid: '#262c34',
}

function groundStyle({ ground, frame, ink, muted, grid }: Ground): string {
  return `.s{fill:${ground};stroke:${frame}}text{fill:${ink}}.m{fill:${muted}}.g{stroke:${grid}}.w{fill:none;stroke:${ink}}`
}

/** The whole document. */
export function sheet({ width, height, title, description, palette }: Sheet, body: string): string {
  // Only what is used: `class="l c3"`.
  const used = palette.colours.map((colour, i) => ({ colour, i })).filter(({ i }) => body.includes(`c${i}"`))
  const colours = (which: 'light' | 'dark'): string =>
    used.map(({ colour, i }) => `.c${i}{color:${colour[which]}}`).join('')
  const darkStyle = `@media(prefers-color-scheme:dark){${groundStyle(dark)}${colours('dark')}}`
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: 'img',
    'aria-labelledby': 'title desc',
  }
  const parts = [
    element('title', { id: 'title' }, escape(title)),
    element('desc', { id: 'desc' }, escape(description)),
    element('style', {}, `${groundStyle(light)}${shared}${colours('light')}${darkStyle}`),
    element('rect', { class: 's', x: 0.5, y: 0.5, width: width - 1, height: height - 1, rx: 6 }),
    body,
  ]
  return `${element('svg', attributes, `\n${parts.join('\n')}\n`)}\n`
}
