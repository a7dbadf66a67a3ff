-- Move the feeder's position and append the envelopes in between; do nothing if another feeder has moved it.
--
-- KEYS[1..2]  log, meta (log.lua);  KEYS[3]  positions  hash: name → feed_seq
-- KEYS[4..8]  the mailbox's block (mailbox.lua)
-- ARGV[1..3]  as in log.lua;  ARGV[4]  name;  ARGV[5]  expected;  ARGV[6]  to;  ARGV[7]  number of envelopes;
--             then for each: lane number, envelope;  then events …
-- Returns 1, or 0 if the position is not the expected one. Compares as text: Lua's numbers are exact only to 2^53.

if (redis.call('HGET', KEYS[3], ARGV[4]) or '0') ~= ARGV[5] then return 0 end
redis.call('HSET', KEYS[3], ARGV[4], ARGV[6])
local first_event = 8 + 2 * ARGV[7]
append_envelopes(3, 8, first_event - 1)
local events = {}
for i = first_event, #ARGV do events[#events + 1] = ARGV[i] end
append(events)
return 1
