// Strategy: who imports a name from this package reads its comment in the editor, so a name without one is a fault. The
// compiler says what the entries export and where each name comes from, so a re-export cannot hide one. The members
// of a class are asked too: all that a user can reach, but for those that only narrow what a base class has.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
const ENTRIES = ['src/index.ts', 'src/protocol/index.ts', 'src/handshake/index.ts', 'src/testing/index.ts']

const options = {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2023,
  // The comments are all that is asked for: no library, no types of Node's.
  noLib: true,
  types: [],
}

const documented = (checker: ts.TypeChecker, symbol: ts.Symbol): boolean =>
  symbol.getDocumentationComment(checker).length > 0 || symbol.getJsDocTags(checker).length > 0

const hasModifier = (node: ts.Node, kind: ts.SyntaxKind): boolean =>
  ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some(modifier => modifier.kind === kind)

/** What a user cannot reach, or what another declaration speaks for. */
const excused = (member: ts.ClassElement): boolean =>
  (member.name !== undefined && ts.isPrivateIdentifier(member.name)) ||
  hasModifier(member, ts.SyntaxKind.PrivateKeyword) ||
  hasModifier(member, ts.SyntaxKind.OverrideKeyword) ||
  ts.getJSDocTags(member).some(tag => tag.tagName.text === 'internal')

const nameOf = (member: ts.ClassElement): string =>
  ts.isConstructorDeclaration(member) ? 'constructor' : (member.name?.getText() ?? '?')

/** Names exported by `entry`, and members of its classes, that have no comment. */
const undocumented = (program: ts.Program, entry: string): { problems: string[]; names: number } => {
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(entry)!
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(source)!)
  const problems: string[] = []
  for (const one of exported) {
    const symbol = (one.flags & ts.SymbolFlags.Alias) === 0 ? one : checker.getAliasedSymbol(one)
    if (!documented(checker, symbol)) problems.push(one.name)
    for (const declaration of symbol.declarations ?? []) {
      if (!ts.isClassDeclaration(declaration)) continue
      // An overload, or the getter of a pair, may speak for the others.
      const members = new Map<string, boolean>()
      for (const member of declaration.members) {
        if (excused(member) || ts.isClassStaticBlockDeclaration(member)) continue
        const name = nameOf(member)
        members.set(name, (members.get(name) ?? false) || ts.getJSDocCommentsAndTags(member).length > 0)
      }
      for (const [name, known] of members) if (!known) problems.push(`${one.name}: ${name}`)
    }
  }
  return { problems, names: exported.length }
}

const program = ts.createProgram(
  ENTRIES.map(entry => join(root, entry)),
  options,
)

for (const entry of ENTRIES) {
  t.test(`every name that ${entry} exports has a comment, and so has every public member of a class`, t => {
    const { problems, names } = undocumented(program, join(root, entry))
    t.ok(names > 10, `${names} names`)
    t.same(problems, [])
    t.end()
  })
}

t.test('the check notices names and members without a comment', t => {
  const files = new Map([
    ['/index.ts', "export { A, b, C as D, type E } from './all.ts'"],
    [
      '/all.ts',
      `/** A. */
       export class A {
         constructor(x: string)
         constructor(x: number)
         /** f. */
         f(): void {}
         g(): void {}
         /** h, reading. */
         get h(): number { return 1 }
         set h(x: number) {}
         #i = 1
         /** @internal */
         j = 1
         readonly k = 1
       }
       export const b = 1
       /** C. */
       export function C(): void {}
       // no comment for an editor
       export type E = 1`,
    ],
  ])
  const host: ts.CompilerHost = {
    ...ts.createCompilerHost(options),
    fileExists: path => files.has(path),
    readFile: path => files.get(path),
    getSourceFile: (path, version) => {
      const text = files.get(path)
      return text === undefined ? undefined : ts.createSourceFile(path, text, version, true)
    },
  }
  const spoilt = ts.createProgram(['/index.ts'], { ...options, allowImportingTsExtensions: true }, host)
  t.same(undocumented(spoilt, '/index.ts').problems, ['A: constructor', 'A: g', 'A: k', 'b', 'E'])
  t.end()
})
