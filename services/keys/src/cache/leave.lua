-- Leaves a message in one slot of a mailbox, where that is empty.
--
-- Returns 1 when the message is there, be it from before; 2 when another one is; 0 when
-- there is no such mailbox. One script, so that a mailbox whose time is over is not made
-- anew by a late message, without an end.
--
-- KEYS[1] keys:{<link id>}:mailbox   hash, with the field "open" from its beginning
-- ARGV[1] the slot
-- ARGV[2] the message
-- ARGV[3] the channel on which processes hear of it
-- ARGV[4] the link id
if redis.call('EXISTS', KEYS[1]) == 0 then
    return 0
end
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1 then
    redis.call('PUBLISH', ARGV[3], ARGV[4])
    return 1
end
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
    return 1
end
return 2
