-- What one exchange's budget holds, read and tidied; each script of the budget begins with this.
--
-- epoch born seq                    so that a Redis that lost what it was told is noticed
-- quiet_until reason said refusals  until when (ms) nobody asks, the HTTP status or why, its sentence, how often in a row
-- spent:{second}:{who}   weight answered in that second; who is live, history or foreign (the server counted more)
-- hold:{id}              "weight who until": in flight; answered at `until` (ms) at the latest
-- wait:{id}              "weight who since until": wants weight since then (ms), and lapses
-- limit:{weight}         the second in which somebody last kept to that limit
-- paced                  when (ms) the next may ask, where the exchange also has a limit a second
--
-- Weight counts while it is in flight and for a window after its answer. The server counted it at some moment in
-- between, so no minute of the server's, wherever it begins, holds more than the limit.

-- A minute, the second that an answer falls into, and one for clocks of hosts that are apart.
local WINDOW_S = 62
local key, now = KEYS[1], tonumber(ARGV[1])
local second = math.floor(now / 1000)
local plain, spent, waits = {}, {}, {}
local used, live, in_flight, this_minute, lowest = 0, 0, 0, 0, nil
local waiting, heaviest_live = {live = 0, history = 0}, 0

local function count(at, who, weight)
  used = used + weight
  if who == 'live' then live = live + weight end
  spent[#spent + 1] = {at, weight}
  if math.floor(at / 60) == math.floor(second / 60) then this_minute = this_minute + weight end
end

local function is_counted(at)
  return at > second - WINDOW_S and at < second + WINDOW_S
end

local read = {}

function read.spent(field, name, value)
  local at, who = string.match(name, '^(%d+):(%a+)$')
  if at and is_counted(tonumber(at)) then count(tonumber(at), who, tonumber(value)) else redis.call('HDEL', key, field) end
end

function read.hold(field, name, value)
  local weight, who, till = string.match(value, '^(%d+) (%a+) (%d+)$')
  weight, till = tonumber(weight), tonumber(till)
  if till > now then
    used, in_flight = used + weight, in_flight + weight
    if who == 'live' then live = live + weight end
  else
    local at = math.floor(till / 1000)
    redis.call('HDEL', key, field)
    if is_counted(at) then
      redis.call('HINCRBY', key, 'spent:' .. at .. ':' .. who, weight)
      count(at, who, weight)
    end
  end
end

function read.wait(field, name, value)
  local weight, who, since, till = string.match(value, '^(%d+) (%a+) (%d+) (%d+)$')
  if tonumber(till) > now then
    waits[name] = {tonumber(weight), who, tonumber(since)}
  else
    redis.call('HDEL', key, field)
  end
end

function read.limit(field, name, value)
  if is_counted(tonumber(value)) then
    lowest = math.min(lowest or tonumber(name), tonumber(name))
  else
    redis.call('HDEL', key, field)
  end
end

local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  local kind, name = string.match(fields[i], '^(%a+):(.+)$')
  if kind then read[kind](fields[i], name, fields[i + 1]) else plain[fields[i]] = fields[i + 1] end
end

local quiet_until = tonumber(plain.quiet_until or '0')

local function be_quiet(till, reason, said)
  if till > quiet_until then
    quiet_until, plain.reason, plain.said = till, reason, said
    redis.call('HSET', key, 'quiet_until', till, 'reason', reason, 'said', said)
  end
end
