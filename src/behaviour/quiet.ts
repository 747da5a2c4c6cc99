/** For promises that may be ignored: a rejection that nobody waits for is not an unhandled one. */
export { quiet } from '../transport/send-queue.js'
