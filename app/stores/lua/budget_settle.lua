-- What was in flight is answered; `told` is the server's own count for its running minute, -1 where it says none.
local id, weight, who, told = ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local was_in_flight = redis.call('HDEL', key, 'hold:' .. id)
redis.call('HINCRBY', key, 'spent:' .. second .. ':' .. who, weight)
local ours = this_minute + in_flight + (1 - was_in_flight) * weight
if told > ours then redis.call('HINCRBY', key, 'spent:' .. second .. ':foreign', told - ours) end
