// Strategy: everything that must not be torn apart is a script, which Redis runs on its own. What is stored, all below one hash
// tag, so that in a cluster it is one slot:
//
//   sessions         sorted set   session → when its lease ends, in milliseconds of Redis' own clock
//   versions         hash         session → how many changes it has made
//   names            hash         name → "session fence"; counts only while that session's lease lives
//   held:<session>   set          its names      joined:<session>  set  its groups       (so that they can be swept)
//   said:<session>   sorted set   the numbers of the last messages it has sent
//   group:<name>     set          the sessions that have members
//   fence            string       the last fence
//
// A session is one life of a node, `node|number`. A lease that has ended never comes back to life: the node begins another
// session and registers again what it has. So whatever an earlier session sent too late does nothing. The same happens when
// Redis has forgotten changes (restarted empty, or failed over to a replica that had not heard of them), which a node sees by
// its version. A fence is the time in microseconds, or one more than the last: so it grows, even when Redis was emptied.
// The sweeping of what dead sessions left is done by the heartbeats of the living, a little each time.
import { createHash } from 'node:crypto'

/** What ends the name of a node that listens on a sharded channel, and so the name of its channel. */
export const SHARDED = '~s'

/** Whether a channel is a sharded one. */
export const isSharded = (channel: string): boolean => channel.endsWith(SHARDED)

/** A Lua script, and the digest by which Redis knows it. */
export interface Script {
  readonly text: string
  readonly sha1: string
}

/** Instead of an answer: what was to be said had been said before. */
export const REPEATED = 1

/** How far one message may overtake another on its way to Redis. */
const WINDOW = 1024
/** How many names and groups of a dead session one heartbeat sweeps. */
const SWEEP = 1000

/** What the one key is that each script is called with, after the beginning of all keys. It exists as long as there is a node. */
export const KEY = 'sessions'

/** ARGV[1] is the session. */
const PRELUDE = `
local p, session = string.sub(KEYS[1], 1, -${KEY.length + 1}), ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function alive(one)
  local ends = redis.call('ZSCORE', p .. 'sessions', one)
  return ends and tonumber(ends) > now
end
local function changed()
  return redis.call('HINCRBY', p .. 'versions', session, 1)
end
local function owner(name)
  local entry = redis.call('HGET', p .. 'names', name)
  if not entry then return nil end
  return string.match(entry, '^(%S+) (%d+)$')
end
local function earlier(one)
  local node, number = string.match(one, '^(.*)|(%d+)$')
  local own, latest = string.match(session, '^(.*)|(%d+)$')
  return node == own and tonumber(number) <= tonumber(latest)
end
local function claim(name)
  local holder = owner(name)
  if holder and not earlier(holder) and alive(holder) then return nil end
  local fence = tonumber(redis.call('GET', p .. 'fence') or '0') + 1
  fence = string.format('%.0f', math.max(fence, time[1] * 1000000 + time[2]))
  redis.call('SET', p .. 'fence', fence)
  redis.call('HSET', p .. 'names', name, session .. ' ' .. fence)
  redis.call('SADD', p .. 'held:' .. session, name)
  return fence
end
local function news(number)
  if redis.call('HEXISTS', p .. 'versions', session) == 0 then return false, false end
  local said = p .. 'said:' .. session
  local last = redis.call('ZREVRANGE', said, 0, 0)[1]
  local oldest = tonumber(last or number) - ${WINDOW}
  if tonumber(number) <= oldest or redis.call('ZADD', said, 'NX', number, number) == 0 then return false, ${REPEATED} end
  if number % 64 == 0 then redis.call('ZREMRANGEBYSCORE', said, '-inf', oldest) end
  return true
end
local function say(channel, text)
  return redis.call(string.match(channel, '~s$') and 'SPUBLISH' or 'PUBLISH', channel, text)
end
local function nodeOf(one)
  return string.match(one, '^[^|]+')
end
`

/** Begins a session. ARGV: session, lease, the session before or ''. */
export const BEGIN: Script = script(`
if ARGV[3] ~= '' then redis.call('ZADD', p .. 'sessions', 0, ARGV[3]) end
redis.call('ZADD', p .. 'sessions', now + ARGV[2], session)
return tostring(changed())
`)

/**
 * Renews the lease, and says so on the node's own channel, so that it knows that it hears. ARGV: session, lease, version,
 * channel. @returns 0 when the session is over.
 */
export const BEAT: Script = script(`
local version = tonumber(redis.call('HGET', p .. 'versions', session) or '-1')
if not alive(session) or version < tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', p .. 'sessions', now + ARGV[2], session)
say(ARGV[4], '')
local dead = redis.call('ZRANGEBYSCORE', p .. 'sessions', '-inf', now, 'LIMIT', 0, 1)[1]
if dead then
  local names = redis.call('SPOP', p .. 'held:' .. dead, ${SWEEP})
  for _, name in ipairs(names) do
    if owner(name) == dead then redis.call('HDEL', p .. 'names', name) end
  end
  local groups = redis.call('SPOP', p .. 'joined:' .. dead, ${SWEEP})
  for _, group in ipairs(groups) do redis.call('SREM', p .. 'group:' .. group, dead) end
  if #names == 0 and #groups == 0 then
    redis.call('ZREM', p .. 'sessions', dead)
    redis.call('HDEL', p .. 'versions', dead)
    redis.call('DEL', p .. 'said:' .. dead)
  end
end
return 1
`)

/** Claims names. ARGV: session, names. @returns the version, and for each name its fence or ''; false when the session is over. */
export const CLAIM: Script = script(`
if not alive(session) then return false end
local answers = { tostring(changed()) }
for i = 2, #ARGV do answers[i] = claim(ARGV[i]) or '' end
return answers
`)

/** Gives a name back. ARGV: session, name. @returns the version. */
export const RELEASE: Script = script(`
if not alive(session) then return false end
if owner(ARGV[2]) == session then redis.call('HDEL', p .. 'names', ARGV[2]) end
redis.call('SREM', p .. 'held:' .. session, ARGV[2])
return tostring(changed())
`)

/** Who has a name. ARGV: session, name. @returns node and fence, or false. */
export const LOOKUP: Script = script(`
local holder, fence = owner(ARGV[2])
if not holder or not alive(holder) then return false end
return { nodeOf(holder), fence }
`)

/** A message to whoever has a name. ARGV: as {@link PUBLISH}, with a name. @returns as it does. */
export const ROUTE: Script = script(`
local new, why = news(ARGV[2])
if not new then return why end
local holder = owner(ARGV[3])
if not holder or not alive(holder) then return {} end
local node = nodeOf(holder)
return { node, tostring(say(ARGV[4] .. node, ARGV[5])) }
`)

/** Says which groups have members here. ARGV: session, groups. @returns the version; false when the session is over. */
export const JOIN: Script = script(`
if not alive(session) then return false end
for i = 2, #ARGV do
  redis.call('SADD', p .. 'group:' .. ARGV[i], session)
  redis.call('SADD', p .. 'joined:' .. session, ARGV[i])
end
return tostring(changed())
`)

/** Says that a group has no members here. ARGV: session, group. @returns the version; false when the session is over. */
export const LEAVE: Script = script(`
if not alive(session) then return false end
redis.call('SREM', p .. 'group:' .. ARGV[2], session)
redis.call('SREM', p .. 'joined:' .. session, ARGV[2])
return tostring(changed())
`)

/**
 * A message to all other nodes that have members of a group. ARGV: session, number of the message, group, channels, message.
 * @returns each node and how many listened; {@link REPEATED}; false when the session is unknown.
 */
export const PUBLISH: Script = script(`
local new, why = news(ARGV[2])
if not new then return why end
local answers = {}
for _, one in ipairs(redis.call('SMEMBERS', p .. 'group:' .. ARGV[3])) do
  local node = nodeOf(one)
  if node ~= nodeOf(session) and alive(one) then
    answers[#answers + 1] = node
    answers[#answers + 1] = tostring(say(ARGV[4] .. node, ARGV[5]))
  end
end
return answers
`)

/** Whether there are sharded channels, as from Redis 7 on. */
export const PROBE: Script = script(`
return type(redis.pcall('SPUBLISH', p .. 'to:nobody', '')) == 'number' and 1 or 0
`)

/** Ends a session and frees what it has, a part with each call. ARGV: session. @returns whether something may be left. */
export const END: Script = script(`
redis.call('ZADD', p .. 'sessions', 0, session)
local names = redis.call('SPOP', p .. 'held:' .. session, 1000)
for _, name in ipairs(names) do
  if owner(name) == session then redis.call('HDEL', p .. 'names', name) end
end
local groups = redis.call('SPOP', p .. 'joined:' .. session, 1000)
for _, group in ipairs(groups) do redis.call('SREM', p .. 'group:' .. group, session) end
if #names > 0 or #groups > 0 then return 1 end
redis.call('ZREM', p .. 'sessions', session)
redis.call('HDEL', p .. 'versions', session)
redis.call('DEL', p .. 'said:' .. session)
return 0
`)

function script(body: string): Script {
  const text = PRELUDE + body
  return { text, sha1: createHash('sha1').update(text).digest('hex') }
}
