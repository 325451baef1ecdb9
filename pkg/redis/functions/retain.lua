--[[
weft1_retain: trim the logs of some topics to what they keep, and remove topics without news.

KEYS  1          head
      2          topics
      3          removed
      4 .. 3+T   log of each topic
ARGV  1          entries after whose removal the call ends, so that Redis is not held up (about: a
                 topic that was begun is trimmed by as many once more)
      2          removed topics that are remembered by name
      3 .. 2+4T  T times: topic, age in ms after which an event goes (0: none), ms without news after which
                 the topic goes (0: never), events kept (0: all)

Returns how many topics were dealt with (the caller goes on with the rest), events trimmed, topics removed.

Ages are counted from Redis's clock back. Trimming touches neither `prev` nor scores, so whoever has not seen
what went is told by the chain. A topic that is removed begins anew, with `prev` 0, when something is
published to it; what its last event was stays in `removed`, so that a gap is told to those, and only those,
who had not seen it. Beyond the number that is remembered the oldest are forgotten, and the head's `floor`
says up to where: then a cursor from before it is told a gap that may be none.
]]

-- Removes what how/bound says. Whole blocks first, a bounded number of entries in each command; what is
-- then too old can only lie in one block, and goes exactly where `exactly` says so.
-- Returns how many, and whether that was all.
local function trim(log, how, bound, exactly, limit)
    local n = 0
    repeat
        local went = redis.pcall('XTRIM', log, how, '~', bound, 'LIMIT', limit)
        if type(went) ~= 'number' then
            return n, true -- not a log: nothing to do with it
        end
        n = n + went
        if n >= limit then
            return n, false
        end
    until went == 0
    if exactly then
        n = n + redis.call('XTRIM', log, how, '=', bound)
    end
    return n, true
end

-- Whether the topic's last event is from before bound_ms. A log that was trimmed to nothing still has its
-- id; without a log nobody knows. XINFO costs much more than a look at what is newer, so it comes second.
local function is_idle(log, bound_ms)
    local newer = redis.pcall('XRANGE', log, string.format('%d', bound_ms), '+', 'COUNT', '1')
    if newer.err or #newer > 0 then
        return false
    end
    local info = redis.pcall('XINFO', 'STREAM', log)
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then
            return tonumber(string.match(info[i + 1], '^%d+')) < bound_ms
        end
    end
    return false
end

local function remove(topics_key, removed_key, topic, log)
    local score = redis.call('ZSCORE', topics_key, topic)
    if not score then
        return 0
    end
    redis.call('ZADD', removed_key, score, topic)
    redis.call('ZREM', topics_key, topic)
    redis.call('UNLINK', log) -- its memory is given back in the background
    return 1
end

local function forget(head_key, removed_key, remembered)
    local over = redis.call('ZCARD', removed_key) - remembered
    if over > 0 then
        local gone = redis.call('ZPOPMIN', removed_key, over)
        local floor = tonumber(redis.call('HGET', head_key, 'floor') or '0')
        local seq = tonumber(gone[#gone])
        if seq > floor then
            redis.call('HSET', head_key, 'floor', string.format('%d', seq))
        end
    end
end

local function retain(KEYS, ARGV)
    local head_key, topics_key, removed_key = KEYS[1], KEYS[2], KEYS[3]
    local limit, remembered = tonumber(ARGV[1]), tonumber(ARGV[2])
    local time = redis.call('TIME')
    local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    local done, trimmed, removed = 0, 0, 0

    for i = 1, #KEYS - 3 do
        local a = 4 * i - 1
        local topic, log = ARGV[a], KEYS[3 + i]
        local age, idle, keep = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
        local all, n = true, 0

        if trimmed >= limit then
            break
        end
        if idle > 0 and is_idle(log, now_ms - idle) then
            removed = removed + remove(topics_key, removed_key, topic, log)
        else
            if age > 0 then
                n, all = trim(log, 'MINID', string.format('%d', now_ms - age), true, limit)
                trimmed = trimmed + n
            end
            if all and keep > 0 then
                n, all = trim(log, 'MAXLEN', string.format('%d', keep), false, limit)
                trimmed = trimmed + n
            end
        end
        if not all then
            break -- this one is to be gone on with
        end
        done = i
    end
    if removed > 0 then
        forget(head_key, removed_key, remembered)
    end
    return { done, trimmed, removed }
end

-- Also when Redis is full: this is what makes room.
redis.register_function({ function_name = 'weft1_retain', callback = retain, flags = { 'allow-oom' } })
