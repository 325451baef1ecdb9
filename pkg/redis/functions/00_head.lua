#!lua name=weft1
--[[
weft1 - every change of more than one key of weft, as Redis Functions.

The files of this folder are put together, sorted by name, into one library. Its name and
the names of its functions carry a version, so that nodes of two versions can
work on one Redis during a rolling update. They are a public interface (docs/redis.md).

While the library is loaded only `redis` is reachable; string, table and math are looked
up inside the functions. File-level locals keep their values between calls.
]]

-- The history that this server serves: master_replid changes when a replica is promoted or the
-- server starts again. Looked at every 200 ms at most, since INFO costs more than an event.
local known_replid = nil
local looked_at_ms = 0

local function current_replid(now_ms)
    if known_replid == nil or now_ms - looked_at_ms >= 200 or now_ms < looked_at_ms then
        local info = redis.call('INFO', 'replication')
        known_replid = string.match(info, 'master_replid:(%x+)') or ''
        looked_at_ms = now_ms
    end
    return known_replid
end

local LEAP = 1000000000 -- sequence numbers are leapt by so many, more or less
local LEAPS = 64        -- that the head notes

-- The first number of a new incarnation: half a leap at least lies between it and the last one that is known
-- here, room for those that were given and lost with the tail.
local function leap_from(seq)
    return (math.floor((seq + LEAP / 2) / LEAP) + 1) * LEAP
end

-- `<first>,<began_ms>,<id before>`, in front of what was noted before: how a cursor is told that its
-- event did not survive (pkg/wire/include/weft/wire/history.h).
local function note_leap(leaps, first, began_ms, ms, seq)
    local kept = { string.format('%d,%d,%d-%d', first, began_ms, ms, seq) }
    for leap in string.gmatch(leaps or '', '%S+') do
        if #kept < LEAPS then
            kept[#kept + 1] = leap
        end
    end
    return table.concat(kept, ' ')
end

-- The head of a partition, brought up to date: born when it is not there, and leaping to the next
-- incarnation when the history may have lost its tail, so that no number is ever used twice.
-- Returns seq, ms (never going back), and the fields that have to be written besides them.
local function open_head(head_key)
    local time = redis.call('TIME')
    local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    local head = redis.call('HMGET', head_key, 'seq', 'ms', 'incarnation', 'replid')
    local replid = current_replid(now_ms)
    local seq = tonumber(head[1] or '0')
    local last_ms = tonumber(head[2] or '0')
    local ms = last_ms
    if now_ms > ms then
        ms = now_ms
    end
    if not head[1] then
        return seq, ms, { 'incarnation', '0', 'replid', replid, 'born_ms', string.format('%d', ms), 'floor', '0' }
    end
    if head[4] ~= replid then
        local first = leap_from(seq)
        local leaps = note_leap(redis.call('HGET', head_key, 'leaps'), first, ms, last_ms, seq)
        local incarnation = tonumber(head[3] or '0') + 1
        return first, ms, { 'incarnation', string.format('%d', incarnation), 'replid', replid, 'leaps', leaps }
    end
    return seq, ms, nil
end
