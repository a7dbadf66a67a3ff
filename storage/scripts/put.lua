-- Append envelopes to a mailbox; with a sixth key only once within its time.
--
-- KEYS[1..5]  the mailbox's block (mailbox.lua);  KEYS[6]  once: string, there while a repetition adds nothing (optional)
-- ARGV[1]     how long `once` stands, ms;  then for each envelope: lane number, envelope
-- Returns 1, or 0 when it was a repetition.

if KEYS[6] and not redis.call('SET', KEYS[6], 1, 'NX', 'PX', ARGV[1]) then return 0 end
append_envelopes(0, 2, #ARGV)
return 1
