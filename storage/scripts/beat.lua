-- Say that a process lives.
--
-- KEYS[1]  processes  hash: process → '<lives until, ms> <info as JSON>'
-- KEYS[2]  its metrics: string, there as long as it lives (optional: it tells none)
-- ARGV     process, ttl in ms, info, metrics
-- Returns what TIME says

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- HDEL first: a script that has written already is not refused by a server that is full, and who lives must be heard there too.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now + ARGV[2]) .. ARGV[3])
if KEYS[2] then redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[2]) end
return time
