// Replays every input of fuzz/corpus and fuzz/regressions through its target, without the fuzzer. A file that the fuzzer
// wrote to fuzz/regressions is a failing test until the library is mended, and a regression test from then on.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { fuzz as connection } from '../../fuzz/connection.js'
import { fuzz as decoder } from '../../fuzz/decoder.js'
import { fuzz as extensions } from '../../fuzz/extensions.js'
import { fuzz as head } from '../../fuzz/head.js'

const folder = join(dirname(fileURLToPath(import.meta.url)), '../../fuzz')

for (const [name, target] of Object.entries({ connection, decoder, extensions, head })) {
  void t.test(`the ${name} target holds its invariant on every kept input`, test => {
    const inputs = ['corpus', 'regressions'].flatMap(kind => {
      const files = join(folder, kind, name)
      return readdirSync(files)
        .filter(file => !file.startsWith('.'))
        .map(file => join(files, file))
    })
    test.ok(inputs.length > 10, 'there are inputs')
    for (const input of inputs) {
      test.doesNotThrow(() => target(readFileSync(input)), input.slice(folder.length + 1))
    }
    test.end()
  })
}
