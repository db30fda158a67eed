-- Symbols that still have minutes before their horizon, and from which on.
SELECT c.symbol_id, oldest.time, c.horizon
FROM coverage AS c
CROSS JOIN LATERAL (
    SELECT time FROM candles AS m WHERE m.symbol_id = c.symbol_id AND m.time < c.horizon ORDER BY time LIMIT 1
) AS oldest
WHERE c.horizon IS NOT NULL
ORDER BY c.symbol_id
