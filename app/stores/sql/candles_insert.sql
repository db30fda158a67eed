-- Store the staged minutes that are new, and note them in the ledger, a span for each week, and in candle_arrivals, where
-- no span may lie over a minute that was there before; how many they are.
WITH new AS (
    INSERT INTO candles (symbol_id, time, open, high, low, close, volume, quote_volume, trades, source)
    SELECT symbol_id, time, open, high, low, close, volume, quote_volume, trades, source FROM staged_candles
    ON CONFLICT (symbol_id, time) DO NOTHING
    RETURNING symbol_id, time
), weekly AS (
    SELECT symbol_id, count(*) AS minutes, tstzrange(min(time), max(time) + interval '1 minute') AS span
    FROM new GROUP BY symbol_id, bucket_7day(time)
), ledger AS (
    INSERT INTO rollup_dirty (symbol_id, span) SELECT symbol_id, span FROM weekly
), arrivals AS (
    INSERT INTO candle_arrivals (symbol_id, arrived_at, span)
    SELECT symbol_id, writing_now(), unnest(range_agg(tstzrange(time, time + interval '1 minute')))
    FROM new WHERE time < late_before() GROUP BY symbol_id
)
SELECT coalesce(sum(minutes), 0)::int FROM weekly
