-- Forgets where a device is connected, unless it has moved on since.
--
-- Returns 1 when forgotten, 0 when a later connection holds the place: a socket that
-- dies slowly must not unhook the one that replaced it.
--
-- KEYS[1] gateway:{<device>}:place   string, "<gateway>/<connection>"
-- ARGV[1] the place that the dying connection had written
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
return redis.call('DEL', KEYS[1])
