// What the page says that is not in the data.

/** What stands on top. */
export const intro = `# Benchmarks

What was measured with the benches below, and each case of them in which others are faster. This page and its pictures are made from
[results.json](benchmarks/results.json) by \`npm run bench -- docs\`, and a check fails when they say anything else, so do
not edit them: measure again.`

/** Benches that run all contestants in one process, and have no counterpart. */
const parts = new Set(['decode', 'encode', 'mask', 'utf8', 'retain'])
/** Benches with sockets whose contestants share a process. */
const shared = new Set(['behaviour', 'deflate'])
/** Benches that have no contestants. */
const single = new Set(['registry'])

const list = (names: readonly string[]): string => names.map(name => `\`${name}\``).join(', ')

/** @param names - of the benches on the page. */
export function how(names: readonly string[]): string {
  const whole = names.filter(name => !parts.has(name) && !shared.has(name) && !single.has(name))
  const paragraphs = [
    whole.length === 0
      ? ''
      : `**Whole paths** (${list(whole)}): every contestant runs in a process of its own. What it talks to is a neutral counterpart in
another process, raw sockets that belong to no library. It counts what arrives, and how long it is; that messages are what they
should be is for the tests.`,
    names.some(name => shared.has(name))
      ? `**On both sides of one socket** (${list(names.filter(name => shared.has(name)))}): the contestants share a process and have
the same counterpart in another.`
      : '',
    names.some(name => parts.has(name))
      ? `**Parts** (${list(names.filter(name => parts.has(name)))}): no sockets. The contestants share a process, each with compiled code
of its own, for a call of some nanoseconds cannot be measured from outside. Their results are checked for equality first.`
      : '',
    `Contestants take turns: in each round everybody has one
slot, in an order that changes from round to round, so a slow moment of the machine hits all. A ratio is taken inside each round.
What is shown is the median of the rounds, with the quartiles in parentheses: half of the rounds lie between them.`,
    `In the tables, \`112 ns\` is what one operation took, and \`5.31× (5.22–5.40)\` below it says that sansocket was 5.31 times as
fast as this contestant; below 1 it was slower. \`≥5 ✓\` is a target that was met, \`✓≈\` one that was met and lies within the
quartiles, \`≈\` one that was missed and lies within them, \`✗\` one that was missed. What stands in parentheses as a contestant is a part nobody can do without,
or was taken out of everybody's time. Ratios carry over from machine to machine better than times do. More about each bench, and
about what favours whom, is in [bench/README.md](../bench/README.md).`,
  ]
  return paragraphs.filter(text => text !== '').join('\n\n')
}

/** What the figures do not say by themselves. */
export const caveats = `- Several messages of a tick are much cheaper here since they leave in one write, and \`ws\` makes a system call for each. A
message that is alone costs its system call, and there nobody is far ahead but Bun.
- Quartiles are those of rounds. In \`send\`, \`receive\`, \`handshake\`, \`growth\` and \`runtimes\` every process is started three times and
has a third of the rounds each time, so what differs from process to process is within the quartiles.
- Where the neutral end does as much as a contestant (a server's handshakes, closed loops, larger messages, where the operating
system copies most of the time), differences come out smaller than they are, and the raw socket need not be the fastest.
- Texts are ASCII. No tick sends more than 8 MiB, so at 1 MiB it is 8 messages and not a hundred. Compression is not used; keepalive
pings of \`start()\` are off, since the neutral end answers none.
- Bun's, Deno's and Node 26's own clients run in their runtime, and what they are compared with in Node 20: \`runtimes\` compares within
one. Bun puts an implementation of its own in the place of \`ws\`. Deno's own client sends a small batch only after some 40 ms,
whatever is in it: it looks like two ends that wait for one another, and its figures are no cost of a message.
- p50 of an echo is the way through the operating system, and the same for all. p99 of a fraction of a second is made by single pauses,
of the collector above all; read it as an order of magnitude.
- \`growth\` measures all its sizes in the same processes, 1 MiB in binary after texts of 16 MiB. Alone, a client's binary messages of
1 MiB were 1.3 times as fast as with \`ws\`, and after those 1.0 times, in the same check: something stays in the way that was not found
out. So \`send\` and \`growth\` say different things about them.
- Not among these: parsing and building alone, compression and memory, which are in the README; broadcasts, and servers with 10,000
connections, in [scaling.md](scaling.md). What a server's processor has to do for 10,000 clients that are all busy is more than with
\`ws\`; \`growth\` lets each of them wait for its echo, which is another question.`

/** Why others are faster, as far as that was found out. */
export const reasons = `Why, as far as it was found out:

- **A message that is alone**: its system call is nine tenths of its time, for everybody. What is left beside \`ws\` is the tick that is
kept open for whatever else may be sent in it, 0.4 of 7 µs; a microtask would cost about half of that, and a promise for each message.
Bun's own client is native code, and nothing of it goes through the streams of Node.
- **1 MiB and more, sent by a client**: a WebAssembly module masks by copying in and out, where a native add-on does it in place. To mask
and write piece by piece, so that all stays in the cache, was tried, and its system calls cost more than it saved; so was keeping more
memory than 4 MiB for what is on its way.
- **Binary messages of 125 B**: each leaves as a view of what was read, an object of its own. Nothing cheaper was found.
- **Binary messages of 16 KiB received**: each has to stay, so it needs memory that was not read into before. The kernel copies into that at
the same price for all, which is most of it; to copy them out of warm memory was tried, and cost more.
- **Long texts beside a raw socket**: each becomes a string of its own, which is one more copy and is collected.
- **p99 and p99.9 of an echo** were not taken apart; pauses of the collector are likely.
- **Opening connections**: the clients of Bun and Deno are no slower than a bare socket of Node, which is the limit for whatever is
built on one.
- **A storm**: that some are back later, and some have tried once more, is what growing, random delays are for. The worst tenth of a
second has a fourth of the attempts that it has when everybody comes back after one second.`

/** What stands at the end. */
export const rerun = `\`\`\`
npm run bench                                   # lists the benches
npm run bench -- decode encode --save           # measures, and merges into bench/results/latest.json
npm run bench -- serve --save                   # another day: the rest stays
npm run bench -- docs --from bench/results/latest.json
\`\`\`

Nothing else should run on the machine meanwhile; the table of machines shows the load. The last command copies the results to
\`docs/benchmarks/results.json\` and makes this page from them; \`npm run bench -- docs --check\` says whether it was.`
