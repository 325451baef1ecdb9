--[[
weft1_publish: append events to their topics and tell who listens.

KEYS  1          head
      2          topics
      3 .. 2+T   log of each topic named in ARGV, in the same order
      3+T ..     once keys and producer keys
ARGV  1          channel of the partition (`weft:{0}:live`)
      2          events kept for each topic (0: all)
      3          how long once keys live, ms
      4          how long producer keys live, ms
      5          T
      6 .. 5+T   the topics
      then each request: index of its once key among the keys behind the logs (0: none),
                 index of its producer key (0: none; else its epoch and the number of its first event follow),
                 number of events, and for each event:
                 type, envelope, topics as indexes from 1 (`1` or `1,3`)

Returns one string for each request: `<ms>-<seq> <n>`, the id of its first event; the n events of a
request have consecutive seqs. With `=` in front: it was taken before, these are the ids of that time (`=` alone: by its
numbers it was, the ids are not known any more). With `!` in front: refused, nothing of this request was written:
`!fenced <epoch>`, `!expected <number>` (10_producer.lua), or why in words.

A message on a channel is a run of lines `<id> <prev> <topic> <type> <envelope>`. The partition's channel gets
all lines in one message before the topics' channels get theirs; a topic's run is cut wherever another topic's
event stands between, so that whoever reads several channels sees ids that never go back.
]]
local function publish(KEYS, ARGV)
    local format, concat, gmatch = string.format, table.concat, string.gmatch
    local call = redis.call
    local head_key, topics_key = KEYS[1], KEYS[2]
    local channel, keep, once_ttl, producer_ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
    local n_topics = tonumber(ARGV[5])
    local seq, ms, more = open_head(head_key)
    local ms_text = format('%d', ms) .. '-'

    -- What each topic's newest event is: the start of its chain.
    local last, bad = {}, nil
    for from = 1, n_topics, 1000 do
        local to = from + 999
        if to > n_topics then
            to = n_topics
        end
        local scores = call('ZMSCORE', topics_key, unpack(ARGV, 5 + from, 5 + to))
        for i = from, to do
            local score = scores[i - from + 1]
            last[i] = score or '0'
            if not score then
                -- A new topic: its key may hold something that is not ours.
                local kind = call('TYPE', KEYS[2 + i]).ok
                if kind ~= 'none' and kind ~= 'stream' then
                    bad = bad or {}
                    bad[i] = true
                end
            end
        end
    end

    local answers, all, n_all = {}, {}, 0
    local runs, order, newest_topic = {}, {}, 0
    local touched = {}
    local cuts = {} -- messages for the topics' channels, in order: topic index, text
    local function cut()
        for k = 1, #order do
            local ti = order[k]
            cuts[#cuts + 1] = ti
            cuts[#cuts + 1] = concat(runs[ti], '\n')
            runs[ti] = nil
        end
        order = {}
    end

    local function append(ti, kind, envelope)
        local prev = last[ti]
        local seq_text = format('%d', seq)
        local id = ms_text .. seq_text
        if touched[ti] or keep == '0' then -- trimmed once in a call: a log may be longer by one call
            call('XADD', KEYS[2 + ti], id, 'prev', prev, 'type', kind, 'event', envelope)
        else
            call('XADD', KEYS[2 + ti], 'MAXLEN', '~', keep, id,
                'prev', prev, 'type', kind, 'event', envelope)
        end
        last[ti] = seq_text
        touched[ti] = true
        local line = id .. ' ' .. prev .. ' ' .. ARGV[5 + ti] .. ' ' .. kind .. ' ' .. envelope
        n_all = n_all + 1
        all[n_all] = line
        if n_topics == 1 then
            return -- its channel gets what the partition's gets
        end
        local run = runs[ti]
        if run and newest_topic ~= ti then
            cut()
            run = nil
        end
        if run then
            run[#run + 1] = line
        else
            runs[ti] = { line }
            order[#order + 1] = ti
        end
        newest_topic = ti
    end

    -- Numbers are taken before they are used: should a command fail halfway (somebody has put something
    -- else in the place of a log), none of them is ever given twice. At most as many are needed as there are
    -- events from the request at `at` on. Before this nothing was written: a refused call leaves no trace.
    local argc = #ARGV
    local function take_numbers(at)
        local taken = seq
        while at <= argc do
            if ARGV[at + 1] ~= '0' then
                at = at + 2
            end
            local n = tonumber(ARGV[at + 2])
            taken = taken + n
            at = at + 3 + 3 * n
        end
        if more then
            call('HSET', head_key, unpack(more))
        end
        call('HSET', head_key, 'seq', format('%d', taken), 'ms', format('%d', ms))
        return taken
    end

    local taken
    local a = 6 + n_topics
    while a <= argc do
        local at = a
        local once, producer, epoch, first = ARGV[a], ARGV[a + 1], nil, nil
        if producer ~= '0' then
            epoch, first = tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
            a = a + 2
        end
        local n = tonumber(ARGV[a + 2])
        a = a + 3

        local answer
        if once ~= '0' then
            local before = call('GET', KEYS[2 + n_topics + once])
            if before then
                answer = '=' .. before
                call('SET', KEYS[2 + n_topics + once], before, 'KEEPTTL') -- for a WAIT behind this call
            end
        end
        if producer ~= '0' then
            answer = producer_verdict(KEYS[2 + n_topics + producer], producer_ttl, epoch, first, n)
        end
        if bad and not answer then
            for e = 0, n - 1 do
                for index in gmatch(ARGV[a + 3 * e + 2], '%d+') do
                    if bad[tonumber(index)] then
                        answer = '!the key of a topic holds something that is not a log'
                    end
                end
            end
        end
        if answer then
            a = a + 3 * n
        else
            taken = taken or take_numbers(at)
            answer = ms_text .. format('%d', seq + 1) .. ' ' .. n
            for _ = 1, n do
                local kind, envelope, indexes = ARGV[a], ARGV[a + 1], ARGV[a + 2]
                a = a + 3
                seq = seq + 1
                local ti = tonumber(indexes)
                if ti then -- nearly always: one topic
                    append(ti, kind, envelope)
                else
                    for index in gmatch(indexes, '%d+') do
                        append(tonumber(index), kind, envelope)
                    end
                end
            end
            if once ~= '0' then
                call('SET', KEYS[2 + n_topics + once], answer, 'PX', once_ttl)
            end
            if producer ~= '0' then
                producer_took(KEYS[2 + n_topics + producer], producer_ttl, epoch, first, n, answer, ms)
            end
        end
        answers[#answers + 1] = answer
    end
    if not taken then
        return answers
    end
    if seq ~= taken then -- some requests were not taken
        call('HSET', head_key, 'seq', format('%d', seq))
    end

    local scores = {}
    for ti in pairs(touched) do
        scores[#scores + 1] = last[ti]
        scores[#scores + 1] = ARGV[5 + ti]
        if #scores >= 1000 then
            call('ZADD', topics_key, unpack(scores))
            scores = {}
        end
    end
    if #scores > 0 then
        call('ZADD', topics_key, unpack(scores))
    end

    local text = concat(all, '\n')
    call('PUBLISH', channel, text)
    if n_topics == 1 then
        call('PUBLISH', channel .. ':' .. ARGV[6], text)
        return answers
    end
    cut()
    for k = 1, #cuts, 2 do
        call('PUBLISH', channel .. ':' .. ARGV[5 + cuts[k]], cuts[k + 1])
    end
    return answers
end

redis.register_function('weft1_publish', publish)
