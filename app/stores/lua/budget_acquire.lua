-- Spend weight, or say how many milliseconds to wait.
local weight, who, limit, id, since = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local hold_ms, nap_ms, patience_ms = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local slack_ms, per_second = tonumber(ARGV[16]), tonumber(ARGV[17])
local fresh, known, known_seq = ARGV[10], ARGV[11], tonumber(ARGV[12])
local epoch, seq = plain.epoch, tonumber(plain.seq or '0')

if not epoch or (epoch == known and seq < known_seq) then
  epoch, plain.born = fresh, now
  redis.call('HSET', key, 'epoch', epoch, 'born', now)
end
if known ~= '' and known ~= epoch then
  -- Nobody can say what was spent before: it counts as everything.
  be_quiet(tonumber(plain.born) + WINDOW_S * 1000, 'Redis lost count', '')
  -- A ban of which we know stays one.
  be_quiet(tonumber(ARGV[13]), ARGV[14], ARGV[15])
end

local function answer(wait_ms)
  return {math.ceil(wait_ms), epoch, seq, quiet_until, plain.reason or '', plain.said or ''}
end

local function wait(wait_ms)
  local till = now + math.min(wait_ms, nap_ms) + slack_ms
  redis.call('HSET', key, 'wait:' .. id, string.format('%d %s %d %d', weight, who, since, till))
  return answer(wait_ms)
end

if quiet_until > now then
  return quiet_until - now > patience_ms and answer(quiet_until - now) or wait(quiet_until - now)
end

waits[id] = nil
local ahead = 0
for other, one in pairs(waits) do
  waiting[one[2]] = waiting[one[2]] + one[1]
  if one[2] == 'live' then heaviest_live = math.max(heaviest_live, one[1]) end
  if one[2] == who and (one[3] < since or (one[3] == since and other < id)) then ahead = ahead + one[1] end
end

redis.call('HSET', key, 'limit:' .. limit, second)
limit = math.min(limit, lowest or limit)
-- What is live goes first, but takes no more than half while history waits; one request it may always have.
local half = math.floor(limit / 2)
local share = live > 0 and math.max(0, half - live) or math.max(half, heaviest_live)
if who == 'history' then ahead = ahead + math.min(waiting.live, share) end
if who == 'live' and waiting.history > 0 and live > 0 and live + weight > half then return wait(1000) end

-- What is heavier than the limit has a window for itself.
if used + ahead + weight <= limit or (used == 0 and ahead == 0) then
  if per_second > 0 then
    -- One after the other, evenly: then no second holds more, wherever it begins.
    local paced = tonumber(plain.paced or '0')
    -- A clock that was set back cannot have everybody wait for it.
    if paced > now + WINDOW_S * 1000 then paced = 0 end
    -- The next turn is for what is live, as far as its half goes; where it does not come, history has the one after.
    if who == 'history' then paced = paced + math.ceil(1000 * math.min(waiting.live, share) / per_second) end
    if paced > now then return wait(paced - now) end
    redis.call('HSET', key, 'paced', now + math.ceil(1000 * weight / per_second))
  end
  seq = math.max(seq, known_seq) + 1
  redis.call('HDEL', key, 'wait:' .. id)
  redis.call('HSET', key, 'seq', seq, 'hold:' .. id, string.format('%d %s %d', weight, who, now + hold_ms))
  return answer(0)
end

table.sort(spent, function(a, b) return a[1] < b[1] end)
local excess = used + ahead + weight - limit
for _, one in ipairs(spent) do
  excess = excess - one[2]
  if excess <= 0 then return wait((one[1] + WINDOW_S) * 1000 - now) end
end
-- It depends on what is in flight.
return wait(spent[1] and (spent[1][1] + WINDOW_S) * 1000 - now or nap_ms)
