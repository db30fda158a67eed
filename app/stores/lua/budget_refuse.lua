-- Nobody asks until `till`. Refusals in a row make each further 429 last twice as long.
local till, reason, said, sent = tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])
local FORGOTTEN_MS, LONGEST_MS = 600000, 3600000
-- An answer to what was sent before the last refusal was known is of the same incident.
if sent >= quiet_until then
  local row = now - quiet_until < FORGOTTEN_MS and tonumber(plain.refusals or '0') + 1 or 1
  redis.call('HSET', key, 'refusals', row)
  if reason == '429' then till = math.max(till, now + math.min((till - now) * 2 ^ (row - 1), LONGEST_MS)) end
end
be_quiet(till, reason, said)
