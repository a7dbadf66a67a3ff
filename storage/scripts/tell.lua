-- Append events to the log.
--
-- KEYS[1..2], ARGV[1..3]  as in log.lua;  ARGV[4..]  events

local events = {}
for i = 4, #ARGV do events[#events + 1] = ARGV[i] end
append(events)
return 1
