import { parseArgs } from 'node:util'
import { ALL_CASES, type CaseId, groupOf, matches } from './cases.js'

/** One pass over the suite: our client, our server, or our server over TLS. */
export type RunName = 'client' | 'server' | 'server-tls'

/** Where the suite comes from: a container, or a Python 2.7 environment of our own. */
export type EngineName = 'docker' | 'python'

/** What the command line asked for. */
export interface Options {
  readonly runs: readonly RunName[]
  /** Whether a run is meant to cover this case, be it in the suite or only in the golden file. */
  readonly scope: (run: RunName, id: CaseId) => boolean
  /** How many `wstest` processes share a run. */
  readonly jobs: number
  /** Rewrite the golden file instead of comparing with it. */
  readonly update: boolean
  /** `null`: Docker where an engine answers, else Python. */
  readonly engine: EngineName | null
}

/** The command line makes no sense; the message says why. */
export class OptionsError extends Error {
  override readonly name = 'OptionsError'
}

/** How the command is used. */
export const USAGE = `Usage: npm run autobahn -- [client|server|both] [options]

  --quick          leave out groups 9, 12 and 13
  --full           all groups (the default)
  --cases <list>   only these: ids, first numbers or patterns, such as 6.4.1,7,9.*
  --tls            run groups 1 to 7 over TLS too (server role)
  --jobs <n>       share the cases between n wstest processes (default 2)
  --update         write the results to autobahn/expected.json instead of comparing them
  --engine <name>  docker or python (default: docker where an engine answers)
  --help           show this text`

const SLOW_GROUPS = new Set([9, 12, 13])
const LAST_TLS_GROUP = 7

function runsOf(role: string, tls: boolean): RunName[] {
  if (role === 'client') {
    if (tls)
      throw new OptionsError('--tls is for the server role: the fuzzing server of the suite speaks no TLS')
    return ['client']
  }
  if (role === 'server') return tls ? ['server', 'server-tls'] : ['server']
  if (role === 'both') return tls ? ['client', 'server', 'server-tls'] : ['client', 'server']
  throw new OptionsError(`'${role}' is not a role: client, server or both`)
}

/** The cases of `run` in the suite's order. */
export function casesOf(options: Pick<Options, 'scope'>, run: RunName): CaseId[] {
  return ALL_CASES.filter(id => options.scope(run, id))
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        full: { type: 'boolean', default: false },
        cases: { type: 'string', multiple: true, default: [] },
        tls: { type: 'boolean', default: false },
        jobs: { type: 'string', default: '2' },
        update: { type: 'boolean', default: false },
        engine: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    throw new OptionsError(error instanceof Error ? error.message : String(error))
  }
}

/**
 * Reads the command line; `null` when it asks for help.
 *
 * @throws {OptionsError} for anything it doesn't know, and for a choice of cases that leaves a run empty.
 */
export function parseOptions(argv: readonly string[]): Options | null {
  const { values, positionals } = parse(argv)
  if (values.help) return null
  if (positionals.length > 1) throw new OptionsError(`one role, please, not '${positionals.join(' ')}'`)
  if (values.quick && values.full) throw new OptionsError('either --quick or --full')
  const runs = runsOf(positionals[0] ?? 'both', values.tls)
  if (!/^[1-8]$/.test(values.jobs))
    throw new OptionsError(`--jobs takes a number from 1 to 8, not '${values.jobs}'`)
  if (values.engine !== undefined && values.engine !== 'docker' && values.engine !== 'python')
    throw new OptionsError(`--engine takes docker or python, not '${values.engine}'`)

  const patterns = values.cases.flatMap(list => list.split(',').map(pattern => pattern.trim()))
  for (const pattern of patterns)
    if (!/^[\d.*]+$/.test(pattern) || !ALL_CASES.some(id => matches(pattern, id)))
      throw new OptionsError(`no case of the suite matches '${pattern}'`)
  const scope = (run: RunName, id: CaseId): boolean =>
    !(values.quick && SLOW_GROUPS.has(groupOf(id))) &&
    !(run === 'server-tls' && groupOf(id) > LAST_TLS_GROUP) &&
    (patterns.length === 0 || patterns.some(pattern => matches(pattern, id)))

  for (const run of runs)
    if (casesOf({ scope }, run).length === 0)
      throw new OptionsError(
        `no case is left to run in the run '${run}' (--quick leaves out 9, 12 and 13; TLS runs 1 to 7)`,
      )
  return { runs, scope, jobs: Number(values.jobs), update: values.update, engine: values.engine ?? null }
}
