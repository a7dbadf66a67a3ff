-- Return how many messages each consumer of a mailbox holds, over its four lanes.
--
-- KEYS[1..5]  the mailbox's block (mailbox.lua)
-- Returns {consumer, in hand, consumer, …}; a name appears once for each lane that it has read from.

local out = {}
for lane = 1, 4 do
  for _, one in ipairs(redis.pcall('XINFO', 'CONSUMERS', KEYS[lane], 'g')) do
    out[#out + 1] = one[2]
    out[#out + 1] = one[4]
  end
end
return out
