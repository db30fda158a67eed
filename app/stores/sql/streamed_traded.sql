-- Trade in quote currency and the last price of symbols ($1) whose hours start in [$2, $3).
SELECT symbol_id, sum(close * volume::float8) AS value, (array_agg(close ORDER BY bucket DESC))[1] AS price
FROM bars_1hour
WHERE symbol_id = ANY($1::int[]) AND bucket >= $2 AND bucket < $3
GROUP BY symbol_id
