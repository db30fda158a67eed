-- Move the horizon of symbols ($1) to $2, where minutes before it are stored, rolled up, and not being fetched. Locks
-- on the plan and on horizons are held. Those that were moved.
INSERT INTO coverage AS c (symbol_id, horizon, dropped)
SELECT of.symbol_id, $2, tstzrange(oldest.time, newest.time + interval '1 minute')
FROM unnest($1::int[]) AS of (symbol_id)
CROSS JOIN LATERAL (
    SELECT m.time FROM candles AS m WHERE m.symbol_id = of.symbol_id AND m.time < $2 ORDER BY m.time LIMIT 1
) AS oldest
CROSS JOIN LATERAL (
    SELECT m.time FROM candles AS m WHERE m.symbol_id = of.symbol_id AND m.time < $2 ORDER BY m.time DESC LIMIT 1
) AS newest
WHERE NOT EXISTS (SELECT FROM rollup_dirty AS d WHERE d.symbol_id = of.symbol_id AND lower(d.span) < $2)
    AND NOT is_fetched_before(of.symbol_id, $2)
ORDER BY of.symbol_id
ON CONFLICT (symbol_id) DO UPDATE
SET horizon = excluded.horizon, dropped = range_merge(excluded.dropped, coalesce(c.dropped, excluded.dropped)),
    wanted = c.wanted - tstzmultirange(tstzrange(NULL, excluded.horizon))
WHERE coalesce(c.horizon, '-infinity') < excluded.horizon
RETURNING symbol_id
