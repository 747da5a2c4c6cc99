// Strategy: two benches look at parts of the protocol core that the package does not export. They are imported from
// the build by their path; what is used of them is declared here and proved by each bench's own check of results.

export interface MaskInternals {
  readonly dataView: (bytes: Uint8Array) => DataView
  readonly xorMask: (
    bytes: Uint8Array,
    start: number,
    end: number,
    key: number,
    words: DataView | null,
  ) => number
}

export interface Utf8Internals {
  readonly UTF8_START: number
  readonly checkUtf8: (state: number, bytes: Uint8Array, start: number, end: number) => number
}

// From `build/bench/` to `dist/protocol/`.
const load = async (name: string): Promise<unknown> =>
  import(new URL(`../../dist/protocol/${name}.js`, import.meta.url).href)

export const loadMask = async (): Promise<MaskInternals> => (await load('mask')) as MaskInternals
export const loadUtf8 = async (): Promise<Utf8Internals> => (await load('utf8')) as Utf8Internals
