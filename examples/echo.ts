// The smallest conversation: a server that echoes, and a client that sends three lines and waits for each to come back.
//
//   node build/examples/echo.js                    a server of our own
//   node build/examples/echo.js wss://host/path    a server of yours, which should be one that echoes
import { listen, start } from 'sansocket'

const lines = ['one', 'two', 'three']

const server = await listen({}, socket => {
  socket.onMessage = message => socket.write(message.data)
})

const client = await start(process.argv[2] ?? server.url, {
  // The state: how many lines came back.
  init: () => 0,

  handleConnect({ url }) {
    console.log(`connected to ${url}`)
    return { reply: lines[0] }
  },

  handleFrame(frame, echoed) {
    if (frame.data !== lines[echoed]) return {}
    console.log(`echoed: ${lines[echoed]}`)
    const next = echoed + 1
    if (next === lines.length) return { state: next, stop: 'done' }
    return { state: next, reply: lines[next] }
  },
})

const { type, value, normal } = await client.ended
console.log(`ended: ${type}, ${String(value)}`)
await server.close()
process.exitCode = normal ? 0 : 1
