-- Merge the staged minutes that were there before, all in [$1, $2); those whose values changed, which go to the ledger.
-- A lower source never overwrites a higher one; equal REST keeps the later answer; equal WebSocket sources keep the
-- larger volume, and of equal volumes the greater of the other values, so that any order ends in the same row.
-- OFFSET 0: look the minutes up one by one, by key.
WITH before AS MATERIALIZED (
    SELECT s.symbol_id, s.time
    FROM staged_candles AS s
    CROSS JOIN LATERAL (
        SELECT c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades
        FROM candles AS c
        WHERE c.symbol_id = s.symbol_id AND c.time = s.time AND c.time >= $1 AND c.time < $2
        OFFSET 0
    ) AS c
    WHERE (c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades)
        IS DISTINCT FROM (s.open, s.high, s.low, s.close, s.volume, s.quote_volume, s.trades)
), written AS (
    INSERT INTO candles AS c (symbol_id, time, open, high, low, close, volume, quote_volume, trades, source)
    SELECT symbol_id, time, open, high, low, close, volume, quote_volume, trades, source FROM staged_candles
    ON CONFLICT (symbol_id, time) DO UPDATE
    SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume, quote_volume = excluded.quote_volume, trades = excluded.trades,
        source = excluded.source
    WHERE excluded.source > c.source
        OR (excluded.source = 3 AND c.source = 3
            AND (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume,
                excluded.quote_volume, excluded.trades)
            IS DISTINCT FROM (c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades))
        OR (excluded.source = c.source AND c.source < 3
            AND (excluded.volume, coalesce(excluded.trades, -1), coalesce(excluded.quote_volume, -1),
                excluded.high, excluded.low, excluded.close, excluded.open)
            > (c.volume, coalesce(c.trades, -1), coalesce(c.quote_volume, -1), c.high, c.low, c.close, c.open))
    RETURNING symbol_id, time
), changed AS MATERIALIZED (
    SELECT symbol_id, time FROM written JOIN before USING (symbol_id, time)
), ledger AS (
    INSERT INTO rollup_dirty (symbol_id, span)
    SELECT symbol_id, tstzrange(min(time), max(time) + interval '1 minute')
    FROM changed GROUP BY symbol_id, bucket_7day(time)
)
SELECT symbol_id, time FROM changed ORDER BY symbol_id, time
