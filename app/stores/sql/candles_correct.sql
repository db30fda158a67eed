-- Merge the staged minutes that were there before, all in [$1, $2); those whose values changed, which go to the ledger.
-- A lower source never overwrites a higher one; equal REST keeps the later answer; equal WebSocket sources keep the
-- larger volume, and of equal volumes the greater of the other values, so that any order ends in the same row.
WITH written AS (
    UPDATE candles AS c
    SET open = s.open, high = s.high, low = s.low, close = s.close, volume = s.volume,
        quote_volume = s.quote_volume, trades = s.trades, source = s.source
    FROM staged_candles AS s JOIN candles AS old
        ON old.symbol_id = s.symbol_id AND old.time = s.time AND old.time >= $1 AND old.time < $2
    WHERE c.symbol_id = s.symbol_id AND c.time = s.time AND c.time >= $1 AND c.time < $2
        AND (
            s.source > c.source
            OR (s.source = 3 AND c.source = 3
                AND (s.open, s.high, s.low, s.close, s.volume, s.quote_volume, s.trades)
                IS DISTINCT FROM (c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades))
            OR (s.source = c.source AND c.source < 3
                AND (s.volume, coalesce(s.trades, -1), coalesce(s.quote_volume, -1), s.high, s.low, s.close, s.open)
                > (c.volume, coalesce(c.trades, -1), coalesce(c.quote_volume, -1), c.high, c.low, c.close, c.open))
        )
    RETURNING c.symbol_id, c.time,
        (old.open, old.high, old.low, old.close, old.volume, old.quote_volume, old.trades)
        IS DISTINCT FROM (s.open, s.high, s.low, s.close, s.volume, s.quote_volume, s.trades) AS differs
), ledger AS (
    INSERT INTO rollup_dirty (symbol_id, span)
    SELECT symbol_id, tstzrange(min(time), max(time) + interval '1 minute')
    FROM written WHERE differs GROUP BY symbol_id, bucket_7day(time)
)
SELECT symbol_id, time FROM written WHERE differs ORDER BY symbol_id, time
