-- Remove a consumer that holds nothing; checked in the same step, since XGROUP DELCONSUMER would lose what it holds.
--
-- KEYS[1..5]  the mailbox's block (mailbox.lua);  ARGV[1]  consumer
-- Returns 1 if it was removed, 0 if it still holds something.

for lane = 1, 4 do
  if #redis.pcall('XPENDING', KEYS[lane], 'g', '-', '+', 1, ARGV[1]) > 0 then return 0 end
end
for lane = 1, 4 do redis.pcall('XGROUP', 'DELCONSUMER', KEYS[lane], 'g', ARGV[1]) end
return 1
