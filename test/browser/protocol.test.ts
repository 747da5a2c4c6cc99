import { join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import t from 'tap'
import { build } from 'esbuild'
import { dumpPage, findChromium, skipWithout } from './chromium.js'
import { converse, type Report } from './conversation.js'

const ROOT = join(import.meta.dirname, '../..')

/** A bundle for a browser; what it exports is the global `bundle`. */
const bundle = async (entry: string): Promise<{ code: string; inputs: string[]; imports: string[] }> => {
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    platform: 'browser',
    format: 'iife',
    globalName: 'bundle',
    target: 'es2022',
    logLevel: 'silent',
  })
  return {
    code: outputFiles[0].text,
    inputs: Object.keys(metafile.inputs),
    imports: Object.values(metafile.outputs).flatMap(output => output.imports.map(({ path }) => path)),
  }
}

const conversation = await bundle('test/browser/conversation.ts')
const here = converse()

t.test('the protocol bundles for a browser without an import left', async t => {
  const { code, inputs, imports } = await bundle('src/protocol/index.ts')
  t.same(imports, [])
  t.ok(inputs.length > 10)
  t.same(
    inputs.filter(path => !path.startsWith('src/protocol/')),
    [],
    'and of files in its own folder only',
  )
  t.notMatch(code, /\bimport\b|\brequire\(/)
  // The one word of Node in it is a question, asked where there is a `process` to ask.
  t.same(
    code.match(/.*\bnode:.*/g)?.map(line => line.trim()),
    ['var node = host?.getBuiltinModule?.("node:buffer");'],
  )
})

t.test('the conversation is what it should be', async t => {
  const said = [
    'text zero \0, two é, three 你好, four 🌍',
    'text ',
    'text of 51200',
    'binary of 102400, unharmed',
    'ping 1,2,3',
    'text pieces of 🌍',
  ]
  t.same(here.lines, [
    ...said.map(line => `server: ${line}`),
    'client: pong 1,2,3',
    'server has nothing to say: true',
    ...said.map(line => `client: ${line}`),
    'server: pong 1,2,3',
    'client has nothing to say: true',
    'server: close 4000 naïve ✓',
    'client: close 4000 naïve ✓',
    'client await-peer, server end',
    'client: fail 1002 WS_RESERVED_BITS',
    'server: close 1002',
  ])
  t.match(here, { process: 'object', buffer: 'function', wasm: true })
})

/** The conversation in a context that has the language, what encodes text, and these globals. */
const runInEmpty = (globals: object): Report => {
  const context = createContext({ TextEncoder, TextDecoder, ...globals })
  return JSON.parse(runInContext(`${conversation.code};JSON.stringify(bundle.converse())`, context) as string)
}

t.test('the bundle runs where there is neither process nor Buffer', async t => {
  t.same(runInEmpty({ atob }), { process: 'undefined', buffer: 'undefined', wasm: true, lines: here.lines })
  t.same(
    runInEmpty({ atob, WebAssembly: undefined }),
    { process: 'undefined', buffer: 'undefined', wasm: false, lines: here.lines },
    'nor WebAssembly',
  )
})

const chromium = findChromium()

t.test('the bundle runs in a page of Chromium', { skip: skipWithout(chromium) }, async t => {
  if (chromium === null) {
    t.fail('no Chromium here, and CI needs one')
    return
  }
  const folder = t.testdir()
  const run = async (name: string, policy: string): Promise<Report> => {
    const script = `${conversation.code}
      try { document.body.textContent = 'result:' + btoa(encodeURIComponent(JSON.stringify(bundle.converse()))) + ':' }
      catch (error) { document.body.textContent = error.stack }`
    const html = `<!doctype html><meta charset="utf-8">
      <meta http-equiv="Content-Security-Policy" content="${policy}">
      <body><script nonce="ours">${script.replaceAll('</script', String.raw`<\/script`)}</script>`
    const page = await dumpPage(chromium, join(folder, name), html)
    const result = /result:([\w+/=]+):/.exec(page)
    if (result === null) throw new Error(`no result in the page: ${page.slice(-2000)}`)
    return JSON.parse(decodeURIComponent(atob(result[1]))) as Report
  }
  t.same(
    await run('usual', "default-src 'none'; script-src 'nonce-ours' 'wasm-unsafe-eval'"),
    { process: 'undefined', buffer: 'undefined', wasm: true, lines: here.lines },
    'and masks by WebAssembly',
  )
  t.same(
    await run('strict', "default-src 'none'; script-src 'nonce-ours'"),
    { process: 'undefined', buffer: 'undefined', wasm: false, lines: here.lines },
    'or without, where the page forbids it',
  )
})
