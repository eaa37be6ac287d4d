-- Has a ticket end after ARGV[1] milliseconds, unless it ends earlier.
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[1]) then
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
