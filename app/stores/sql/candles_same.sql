-- Forget the staged minutes, all in [$1, $2), that are stored with the same values and no lower source; how many. Such a
-- row is not even locked, which would write it. A week of a symbol is read at once: in columnstore each batch is then
-- unpacked once.
WITH asked AS (
    SELECT symbol_id, min(time) AS first, max(time) AS last
    FROM staged_candles GROUP BY symbol_id, bucket_7day(time)
), stored AS MATERIALIZED (
    SELECT c.* FROM asked CROSS JOIN LATERAL (
        SELECT * FROM candles AS one
        WHERE one.symbol_id = asked.symbol_id AND one.time BETWEEN asked.first AND asked.last
            AND one.time >= $1 AND one.time < $2
        OFFSET 0
    ) AS c
), same AS (
    DELETE FROM staged_candles AS s USING stored AS c
    WHERE c.symbol_id = s.symbol_id AND c.time = s.time AND c.source >= s.source
        AND (c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades)
        IS NOT DISTINCT FROM (s.open, s.high, s.low, s.close, s.volume, s.quote_volume, s.trades)
    RETURNING s.symbol_id
)
SELECT count(*)::int FROM same
