-- Store the staged minutes that are new, and note them in the ledger, a span for each week; how many they are.
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
)
SELECT coalesce(sum(minutes), 0)::int FROM weekly
