package redislimits

import "github.com/redis/rueidis"

// acquireScript takes a lease in one step. It drops leases that have ended, and returns 0, or the
// number of the full set, counted from 1. Then nothing is counted, unless it is forced. A lease
// that already exists is not counted twice, so the script may be sent again.
//
// KEYS are the set of all pages, the page, and the sets in which the session counts. ARGV is the
// length of a lease in milliseconds, the page's entry in the set of pages, the lease, the published
// data of the session, 1 if it is forced, a limit for each of the sets, and the leases that this
// one replaces.
var acquireScript = rueidis.NewLuaScriptRetryable(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local length, lease = tonumber(ARGV[1]), ARGV[3]
local full = 0
for i = 3, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
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
redis.call('HSET', KEYS[2], lease, ARGV[4])
redis.call('PEXPIRE', KEYS[2], length)
redis.call('ZADD', KEYS[1], now + length, ARGV[2])
redis.call('PEXPIRE', KEYS[1], length)
return full
`)

// renewScript renews leases of one page, and adds missing ones. It returns how many entries were
// missing; a lease has one or two.
//
// KEYS are the set of all pages, the page, and one set for each entry, so a set can occur several
// times. ARGV is the length of a lease in milliseconds, the page's entry in the set of pages, a
// lease for each of the sets, and then a lease and its published data for each session.
var renewScript = rueidis.NewLuaScriptRetryable(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local length = tonumber(ARGV[1])
local added = 0
for i = 3, #KEYS do
  added = added + redis.call('ZADD', KEYS[i], now + length, ARGV[i])
  redis.call('PEXPIRE', KEYS[i], length)
end
redis.call('HSET', KEYS[2], unpack(ARGV, #KEYS + 1))
redis.call('PEXPIRE', KEYS[2], length)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + length, ARGV[2])
redis.call('PEXPIRE', KEYS[1], length)
return added
`)

// turnScript takes the turn of a network, or returns for how many milliseconds another node still
// has it. KEYS is the turn, ARGV its length in milliseconds.
var turnScript = rueidis.NewLuaScript(`
if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then
  return 0
end
return math.max(redis.call('PTTL', KEYS[1]), 1)
`)

// probeScript checks whether Redis runs scripts that write. KEYS is the set of all pages.
var probeScript = rueidis.NewLuaScriptRetryable(`
return redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', redis.call('TIME')[1] * 1000)
`)
