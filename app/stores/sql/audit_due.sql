-- $1 exchange, $2 the end of the last day that is old enough, $3 how far back to look, $4 how many. Markets of which a whole day
-- waits to be looked at, those that wait longest first.
SELECT c.symbol_id, greatest(c.audited_until, c.horizon, $3), $2::timestamptz
FROM coverage AS c JOIN symbol_exchange AS s ON s.id = c.symbol_id
WHERE s.exchange = $1 AND s.is_trading AND c.covered && tstzrange($3::timestamptz, $2)
    AND (c.audited_until IS NULL OR c.audited_until <= $2 - interval '1 day')
ORDER BY c.audited_until NULLS FIRST, c.symbol_id
LIMIT $4
