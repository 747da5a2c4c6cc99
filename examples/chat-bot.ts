// A chat bot, in the manner of SlackKit's (Slack.WebSocketClient): run it with `node build/examples/chat-bot.js` after
// `npm run build`. It answers when it is mentioned, says something of its own every now and then, comes back when the
// server falls over, and leaves when it is told to. The chat it visits is a fake one, at the end of this file; with another
// URL and another `parse` and `say` the bot would do for a real one.
//
//   what the server says ──▶ handleFrame ──▶ { reply }  ──▶ what the bot says
//   the bot's own clock  ──▶ handleInfo  ──▶ { reply }
//   the connection       ──▶ handleConnect, handleDisconnect
import { setTimeout as sleep } from 'node:timers/promises'
import { defineBehaviour, listen, type Socket, start } from 'sansocket'

const NAME = 'hal'
/** Pings that find a dead connection. So often only for show: the default, 20,000, is good for the Internet. */
const KEEPALIVE_MS = 150
/** How often the bot says something that nobody asked for. */
const REMINDER_MS = 250
/** The first delay before connecting again; it doubles with each failure. The default is 1,000. */
const RECONNECT_MS = 100

// The protocol of the chat: JSON, one object a message.

interface ChatMessage {
  readonly user: string
  readonly text: string
}

const say = (user: string, text: string): string => JSON.stringify({ user, text } satisfies ChatMessage)
const parse = (data: string): ChatMessage => JSON.parse(data) as ChatMessage

const began = performance.now()
const log = (who: string, what: string): void => {
  console.log(`${(performance.now() - began).toFixed(0).padStart(5)} ms  ${who.padEnd(8)}${what}`)
}

// The bot: callbacks over a state, which is replaced and never changed. One callback runs at a time.

interface BotState {
  readonly name: string
  readonly answers: number
  readonly reminders: number
}

const bot = defineBehaviour({
  // Before anything is connected. What is returned is the first state; it outlives every single connection.
  init: ({ name }: { readonly name: string }, self): BotState => {
    // A message to itself, which arrives in handleInfo whether there is a connection then or not.
    self.sendAfter('reminder', REMINDER_MS)
    return { name, answers: 0, reminders: 0 }
  },

  // After each successful connection. Replies go out before any frame is looked at.
  handleConnect: ({ url, reconnects }, { name }) => {
    log('(bot)', reconnects === 0 ? `connected to ${url}` : 'connected again')
    return { reply: say(name, reconnects === 0 ? 'hello, everybody' : 'sorry, where were we?') }
  },

  // Each message. Nothing returned is nothing changed.
  handleFrame: (frame, state) => {
    if (frame.type !== 'text') return undefined
    const { name, answers } = state
    const { user, text } = parse(frame.data)
    if (user === name || !text.includes(`@${name}`)) return undefined
    const answer = (words: string): string => say(name, `@${user} ${words}`)
    // `stop` ends the process when the reply is out: Close 1000, then terminate.
    if (text.includes('good night')) return { reply: answer('good night'), stop: `${user} said good night` }
    const words = text.includes('how many') ? `${answers} so far` : 'I am here'
    return { reply: answer(words), state: { ...state, answers: answers + 1 } }
  },

  // The bot's own messages. Between two connections nothing can be sent, and what was said then would come back as unsent.
  handleInfo: (message: 'reminder', state, self) => {
    self.sendAfter(message, REMINDER_MS)
    if (self.phase !== 'open') return undefined
    const reminders = state.reminders + 1
    return {
      reply: say(state.name, `reminder ${reminders}: drink some water`),
      state: { ...state, reminders },
    }
  },

  // Pings are answered by themselves, and the keepalive's are sent by themselves. Their pongs may be looked at.
  handlePong: (_payload, _state, { rttMs }) => {
    if (rttMs !== null) log('(bot)', `the server lives: ${rttMs.toFixed(2)} ms there and back`)
  },

  // Once for each lost connection and each failed attempt. With nothing returned the option `reconnect` decides; to decide
  // here, return `{ reconnect: { delayMs } }`, `{ stay: true }` or `{ stop: reason }`.
  handleDisconnect: ({ reason, attempt, error }) => {
    log(
      '(bot)',
      `disconnected: ${reason.type}, attempt ${attempt}${error === null ? '' : `: ${error.message}`}`,
    )
  },

  // Exactly once, whatever it was that ended the bot.
  terminate: ({ type, value }, { answers, reminders }) => {
    log('(bot)', `${type}: ${String(value)}. ${answers} answers and ${reminders} reminders given`)
  },
})

// The chat: who says what in each visit of the bot, and `null` when the server falls over.

type Line = readonly [afterMs: number, user: string, text: string] | null

const VISITS: readonly (readonly Line[])[] = [
  [[50, 'ann', 'good morning'], [50, 'bob', `@${NAME} are you there?`], [300, 'bob', 'that lamp flickers …'], null], // prettier-ignore
  [[100, 'ann', `@${NAME} how many questions were there?`], [300, 'bob', `@${NAME} good night`]], // prettier-ignore
]

let visits = 0

const receive = async (socket: Socket): Promise<void> => {
  const visit = VISITS[visits++] ?? []
  socket.onMessage = message => {
    if (message.type !== 'text') return
    const { user, text } = parse(message.data)
    log(user, text)
  }
  for (const line of visit) {
    if (line === null) {
      log('(chat)', 'falls over, without a word')
      socket.terminate()
      return
    }
    const [afterMs, user, text] = line
    await sleep(afterMs)
    log(user, text)
    socket.write(say(user, text))
  }
}

await using chat = await listen({}, receive)
const hal = await start(chat.url, bot, {
  args: { name: NAME },
  name: NAME,
  keepalive: KEEPALIVE_MS,
  reconnect: { minDelayMs: RECONNECT_MS, jitter: 'equal' },
})
const { normal } = await hal.ended
log('(chat)', normal ? 'closes' : 'did not expect that')
process.exitCode = normal ? 0 : 1
