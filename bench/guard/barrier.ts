// Strategy: how the process under count and its other end keep in step without a socket, a promise or an event between them: two
// FIFOs, read and written synchronously. The process under count says how many bytes the other end must have received and what to
// send, and blocks until that is done, so all of a chunk waits in the kernel before the first of it is read, and nobody's buffer is
// ever full. A pass costs a write and a read, of files that are no sockets and so are not counted.
import { execFileSync } from 'node:child_process'
import { constants, openSync, readSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'

/** What is asked of the other end. */
export interface Wish {
  /** So many bytes must have come, since the beginning. */
  readonly received: number
  /** Whether to send, or to do, what a turn needs. */
  readonly act: boolean
}

/** Makes what both ends open, in an empty folder. */
export function makeBarrier(folder: string): void {
  execFileSync('mkfifo', [join(folder, 'wishes'), join(folder, 'answers')])
}

/** For both directions, which does not wait for the other end. */
const open = (folder: string, name: string, flags = 0): number =>
  openSync(join(folder, name), constants.O_RDWR | flags)

/** The end that asks. */
export class Barrier {
  readonly #folder: string
  readonly #wishes: number
  #answers: number | null = null
  readonly #numbers = new Float64Array(2)
  readonly #bytes = new Uint8Array(this.#numbers.buffer)
  readonly #answer = new Uint8Array(1)

  constructor(folder: string) {
    this.#folder = folder
    this.#wishes = open(folder, 'wishes')
  }

  /** Asks. The answer must be waited for before the next one. */
  ask(received: number, act: boolean): void {
    this.#numbers[0] = received
    this.#numbers[1] = act ? 1 : 0
    writeSync(this.#wishes, this.#bytes)
    // Only for reading, so that the end of the other end is seen; it waits until that has opened it.
    this.#answers ??= openSync(join(this.#folder, 'answers'), 'r')
  }

  /** Blocks until the other end has done what it was asked for. @throws when it has ended. */
  wait(): void {
    if (readSync(this.#answers!, this.#answer) === 0) throw new Error('the other end is gone')
  }

  pass(received: number, act: boolean): void {
    this.ask(received, act)
    this.wait()
  }
}

/** The end that is asked: calls `fulfil` for each wish, and answers when that has settled. */
export async function answerWishes(folder: string, fulfil: (wish: Wish) => Promise<void>): Promise<void> {
  const answers = open(folder, 'answers')
  // A file that is read for in a thread would keep the process from ending.
  const wishes = new Socket({ fd: open(folder, 'wishes', constants.O_NONBLOCK), writable: false })
  for await (const bytes of wishes as AsyncIterable<Buffer>) {
    await fulfil({ received: bytes.readDoubleLE(0), act: bytes.readDoubleLE(8) !== 0 })
    writeSync(answers, '.')
  }
}
