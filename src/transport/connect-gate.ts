// RFC 6455 4.1: "if there are multiple connections to the same address attempted simultaneously, the client MUST serialize
// them". The rule keeps scripts in a browser from flooding a third party's server. A program that opens connections on its
// own account is asked for by `serialize: true`, and pays one round trip after the other for it; no other client outside
// browsers (ws, undici, gun, Python websockets) does it at all.

/** Waiting lines by remote address: at most one connection of each is between its first packet and its opening. */
const lines = new Map<string, Promise<void>>()

/**
 * Waits until no other connection to any of the addresses is being opened, then keeps the way to them.
 *
 * @param addresses what is dialed: `ip:port` of each candidate, or the path of a unix socket.
 * @returns how to give the way free, whether opening succeeded or failed.
 */
async function enterGate(addresses: readonly string[]): Promise<() => void> {
  let leave!: () => void
  const mine = new Promise<void>(resolve => {
    leave = resolve
  })
  const before = addresses.map(address => lines.get(address) ?? Promise.resolve())
  for (const address of addresses) lines.set(address, mine)
  await Promise.all(before)
  return () => {
    for (const address of addresses) if (lines.get(address) === mine) lines.delete(address)
    leave()
  }
}

/** `enterGate` as a step for `runPhase`. Given up while waiting, it leaves its place in the line in time. */
export const startGate =
  (addresses: readonly string[]) =>
  (resolve: (leave: () => void) => void): (() => void) => {
    let abandoned = false
    void enterGate(addresses).then(leave => {
      if (abandoned) leave()
      else resolve(leave)
    })
    return () => {
      abandoned = true
    }
  }
