-- Takes from the buckets of one subject: from all of them, or from none.
--
-- The generic cell rate algorithm (ITU-T I.371): a bucket is one time, at which it will
-- be full. A bucket that is full is not stored.
--
-- KEYS[i]       limits:{<subject>}:<class>   string, microseconds since 1970
-- ARGV[4i-3]    units in a full bucket
-- ARGV[4i-2]    microseconds in which an empty bucket becomes full
-- ARGV[4i-1]    units to take at least
-- ARGV[4i]      units to take at most
--
-- Returns four numbers for each bucket: units taken; units left; microseconds until it
-- is full; microseconds until it has enough, 0 if it had.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local buckets, enough = {}, true

for i, key in ipairs(KEYS) do
    local burst, per = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2])
    local least, most = tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
    local interval = per / burst
    -- Not beyond what an empty bucket needs: the clock may have been set back, or the
    -- limit changed.
    local full = math.min(math.max(tonumber(redis.call('GET', key) or 0), now), now + per)
    -- A millionth of a unit, for what floating point rounds away.
    local left = math.floor(burst - (full - now) / interval + 0.000001)
    local wait = 0
    if left < least then
        wait = math.max(1, math.ceil(full + least * interval - now - per))
        enough = false
    end
    buckets[i] = { interval = interval, full = full, left = left, most = most, wait = wait }
end

local answer = {}
for i, key in ipairs(KEYS) do
    local bucket = buckets[i]
    local taken = enough and math.min(bucket.left, bucket.most) or 0
    local full = bucket.full + taken * bucket.interval
    if taken > 0 then
        local life = math.max(1, math.ceil((full - now) / 1000))
        redis.call('SET', key, string.format('%.0f', full), 'PX', life)
    end
    answer[4 * i - 3] = taken
    answer[4 * i - 2] = bucket.left - taken
    answer[4 * i - 1] = math.ceil(full - now)
    answer[4 * i] = bucket.wait
end
return answer
