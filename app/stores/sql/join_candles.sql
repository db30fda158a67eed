-- The minutes of the joined market ($2) become the other one's ($1), and go to the ledger. Where both have a minute the higher
-- source stays, and of equal ones the joined market's; what it replaces becomes a revision.
WITH ledger AS (
    INSERT INTO rollup_dirty (symbol_id, span)
    SELECT $1, tstzrange(min(time), max(time) + interval '1 minute')
    FROM candles WHERE symbol_id = $2 GROUP BY bucket_7day(time)
)
INSERT INTO candles AS c (symbol_id, time, open, high, low, close, volume, quote_volume, trades, source)
SELECT $1, time, open, high, low, close, volume, quote_volume, trades, source FROM candles WHERE symbol_id = $2
ON CONFLICT (symbol_id, time) DO UPDATE
SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume, quote_volume = excluded.quote_volume, trades = excluded.trades,
    source = excluded.source
WHERE excluded.source >= c.source
