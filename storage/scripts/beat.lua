-- Record a sign of life of a process.
--
-- KEYS[1]  processes  hash: process → '<lives until, ms> <info as JSON>'
-- KEYS[2]  its metrics: string, expires with the sign of life (optional: a process may report none)
-- ARGV     process, ttl in ms, info, metrics
-- Returns the reply of TIME

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- HDEL first: a full server does not refuse a script that has already written, and signs of life must get through.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now + ARGV[2]) .. ARGV[3])
if KEYS[2] then redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[2]) end
return time
