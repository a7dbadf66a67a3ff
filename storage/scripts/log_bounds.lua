-- Return the entries of the oldest and the newest event of the log.
--
-- KEYS[1..2], ARGV[1..3]  as in log.lua
-- Returns {log id, oldest entry, newest entry, number of events in the newest}.

open_log()
local meta = redis.call('HMGET', META, 'id', 'newest', 'newest_events')
local oldest = redis.call('XRANGE', LOG, '-', '+', 'COUNT', 2)
local first = oldest[1] and oldest[1][2][1] == 'm' and oldest[2] or oldest[1]
return {meta[1], first and first[1] or meta[2], meta[2], tonumber(meta[3])}
