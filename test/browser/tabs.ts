// Strategy: the browser stays, and is led through a pipe (`--remote-debugging-pipe`, the DevTools protocol: JSON, a zero byte
// behind each message). Four commands of it are used: a tab is opened, attached to, told to run a function, and closed. The
// function is a test's, sent as its source, so it sees nothing of the test but its arguments, and answers with plain data.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { Test } from 'tap'
import { FLAGS } from './chromium.js'

const LIMIT_MS = 60_000

type Answer = {
  readonly id?: number
  readonly result?: unknown
  readonly error?: { readonly message: string }
}
type Evaluated = {
  readonly result: { readonly value: unknown }
  readonly exceptionDetails?: {
    readonly text: string
    readonly exception?: { readonly description?: string }
  }
}

/** A browser with as many tabs as one likes. It ends with the test. */
export class Browser {
  readonly #input: Writable
  readonly #asked = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>()
  #count = 0

  private constructor(input: Writable, output: Readable) {
    this.#input = input
    let text = ''
    output.setEncoding('utf8').on('data', (chunk: string) => {
      const messages = (text + chunk).split('\0')
      text = messages.pop() ?? ''
      for (const message of messages) this.#take(JSON.parse(message) as Answer)
    })
  }

  /** @param trusted - SHA-256 in base64 of the public keys whose certificates are good, whoever signed them. */
  static start(t: Test, command: string | null, trusted: readonly string[] = []): Browser {
    if (command === null) throw new Error('no Chromium here, and CI needs one')
    const folder = mkdtempSync(join(tmpdir(), 'sansocket-browser-'))
    const profile = `--user-data-dir=${folder}`
    const trust = `--ignore-certificate-errors-spki-list=${trusted.join()}`
    const args = [...FLAGS, profile, trust, '--remote-debugging-pipe', 'about:blank']
    // A group of its own, so that the browser's helpers can be ended with it.
    const stdio = ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] as const
    const child = spawn(command, args, { stdio: [...stdio], detached: true })
    const endAll = (): void => {
      try {
        process.kill(-child.pid!, 'SIGKILL')
      } catch {
        // All of them are gone already.
      }
    }
    const browser = new Browser(child.stdio[3] as Writable, child.stdio[4] as Readable)
    let said = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-2000)))
    child.stdio[3]?.on('error', () => {})
    const gone = new Promise<void>(resolve => {
      child.once('error', error => {
        browser.#fail(error)
        resolve()
      })
      child.once('close', status => {
        browser.#fail(new Error(`${command} ended with ${status}: ${said}`))
        resolve()
      })
    })
    const limit = setTimeout(endAll, LIMIT_MS)
    process.once('exit', endAll)
    t.teardown(async () => {
      clearTimeout(limit)
      process.off('exit', endAll)
      endAll()
      await gone
      // Helpers that are about to be gone may still be writing.
      rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
    })
    return browser
  }

  /** Opens a page, and waits until it has loaded. */
  async open(url: string): Promise<Tab> {
    const { targetId } = (await this.ask('Target.createTarget', { url: 'about:blank' })) as {
      targetId: string
    }
    const attach = { targetId, flatten: true }
    const { sessionId } = (await this.ask('Target.attachToTarget', attach)) as { sessionId: string }
    const tab = new Tab(this, targetId, sessionId)
    await tab.go(url)
    return tab
  }

  /** @internal One command. */
  ask(method: string, params: object, sessionId?: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = ++this.#count
      this.#asked.set(id, { resolve, reject })
      this.#input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
    })
  }

  #take({ id, result, error }: Answer): void {
    const asked = this.#asked.get(id ?? 0)
    this.#asked.delete(id ?? 0)
    if (error === undefined) asked?.resolve(result)
    else asked?.reject(new Error(`in the browser: ${error.message}`))
  }

  #fail(error: Error): void {
    for (const asked of this.#asked.values()) asked.reject(error)
    this.#asked.clear()
  }
}

/** A page of the browser. */
export class Tab {
  readonly #browser: Browser
  readonly #targetId: string
  readonly #sessionId: string

  constructor(browser: Browser, targetId: string, sessionId: string) {
    this.#browser = browser
    this.#targetId = targetId
    this.#sessionId = sessionId
  }

  /** Another page in this tab. */
  async go(url: string): Promise<void> {
    const { errorText } = (await this.#browser.ask('Page.navigate', { url }, this.#sessionId)) as {
      errorText?: string
    }
    if (errorText !== undefined) throw new Error(`${url}: ${errorText}`)
    await this.#evaluate(
      `new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', () => done()))`,
    )
  }

  /** Runs `work` in the page. @throws what it throws there. */
  async run<Args extends readonly unknown[], Result>(
    work: ((...args: Args) => Result | Promise<Result>) | string,
    ...args: Args
  ): Promise<Result> {
    return (await this.#evaluate(`(${String(work)})(...${JSON.stringify(args)})`)) as Result
  }

  /** As a user closes it. */
  async close(): Promise<void> {
    await this.#browser.ask('Target.closeTarget', { targetId: this.#targetId })
  }

  async #evaluate(expression: string): Promise<unknown> {
    const how = { expression, awaitPromise: true, returnByValue: true }
    const answer = (await this.#browser.ask('Runtime.evaluate', how, this.#sessionId)) as Evaluated
    const { exceptionDetails: failed } = answer
    if (failed !== undefined) throw new Error(failed.exception?.description ?? failed.text)
    return answer.result.value
  }
}
