-- Remove a consumer that holds nothing: XGROUP DELCONSUMER would throw away what it holds, so that is looked at in the same step.
--
-- KEYS[1..5]  the mailbox's block (mailbox.lua);  ARGV[1]  consumer
-- Returns 1 when it is gone, 0 when it still holds something.

for lane = 1, 4 do
  if #redis.pcall('XPENDING', KEYS[lane], 'g', '-', '+', 1, ARGV[1]) > 0 then return 0 end
end
for lane = 1, 4 do redis.pcall('XGROUP', 'DELCONSUMER', KEYS[lane], 'g', ARGV[1]) end
return 1
