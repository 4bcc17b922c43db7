package redislimits

import "github.com/redis/rueidis"

// ownFunction begins scripts. All keys with the prefix are ours, so a key of another type is
// deleted, and does not keep the other keys of a script from being renewed.
const ownFunction = `
local function own(command, key, ...)
  local answer = redis.pcall(command, key, ...)
  if type(answer) ~= 'table' or not answer.err then
    return answer
  end
  if string.find(answer.err, 'WRONGTYPE', 1, true) then
    redis.call('DEL', key)
  end
  return redis.call(command, key, ...)
end
`

// acquireScript takes a lease in one step. It drops leases that have ended, and returns 0, or the
// number of the full set, counted from 1. Then nothing is counted, unless it is forced. A lease
// that already exists is not counted twice, so the script may be sent again.
//
// KEYS are the set of all pages, the page, and the sets in which the session counts. ARGV is the
// length of a lease in milliseconds, the page's entry in the set of pages, the lease, the published
// data of the session, 1 if it is forced, a limit for each of the sets, and the leases that this
// one replaces.
var acquireScript = rueidis.NewLuaScriptRetryable(ownFunction + `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local length, lease = tonumber(ARGV[1]), ARGV[3]
local full = 0
for i = 3, #KEYS do
  own('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
  for j = 4 + #KEYS, #ARGV do
    redis.call('ZREM', KEYS[i], ARGV[j])
  end
  local limit = tonumber(ARGV[3 + i])
  if full == 0 and limit > 0 and redis.call('ZCARD', KEYS[i]) >= limit
      and not redis.call('ZSCORE', KEYS[i], lease) then
    full = i - 2
  end
end
if full > 0 and ARGV[5] ~= '1' then
  return full
end
for i = 3, #KEYS do
  redis.call('ZADD', KEYS[i], now + length, lease)
  redis.call('PEXPIRE', KEYS[i], length)
end
own('HSET', KEYS[2], lease, ARGV[4])
redis.call('PEXPIRE', KEYS[2], length)
own('ZADD', KEYS[1], now + length, ARGV[2])
redis.call('PEXPIRE', KEYS[1], length)
return full
`)

// renewScript renews leases of one page, and adds missing ones. It returns how many entries were
// missing; a lease has one or two. Its first command only removes: then a Redis whose memory is
// full executes the others, too, and all nodes still count the same.
//
// KEYS are the set of all pages, the page, and one set for each entry, so a set can occur several
// times. ARGV is the length of a lease in milliseconds, the page's entry in the set of pages, a
// lease for each of the sets, and then a lease and its published data for each session.
var renewScript = rueidis.NewLuaScriptRetryable(ownFunction + `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local length = tonumber(ARGV[1])
own('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local added = 0
for i = 3, #KEYS do
  added = added + own('ZADD', KEYS[i], now + length, ARGV[i])
  redis.call('PEXPIRE', KEYS[i], length)
end
own('HSET', KEYS[2], unpack(ARGV, #KEYS + 1))
redis.call('PEXPIRE', KEYS[2], length)
redis.call('ZADD', KEYS[1], now + length, ARGV[2])
redis.call('PEXPIRE', KEYS[1], length)
return added
`)

// turnScript takes the turn of a network, or returns for how many milliseconds another node still
// has it. KEYS is the turn, ARGV its length in milliseconds. A turn without an end is none of ours.
var turnScript = rueidis.NewLuaScript(`
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
  return 0
end
return math.max(left, 1)
`)

// probeScript checks whether Redis runs scripts that write. KEYS is the set of all pages.
var probeScript = rueidis.NewLuaScriptRetryable(ownFunction + `
return own('ZREMRANGEBYSCORE', KEYS[1], '-inf', redis.call('TIME')[1] * 1000)
`)
