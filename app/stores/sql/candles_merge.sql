-- Merge staged_candles, all in [$1, $2), into candles, and write the changed minutes to the ledger.
-- A lower source never overwrites a higher one; equal REST keeps the later answer (ordinal); equal WebSocket sources
-- keep the larger volume, and of equal volumes the greater of the other values, so that any order ends in the same row.
WITH fresh AS MATERIALIZED (
    SELECT DISTINCT ON (symbol_id, time) *
    FROM staged_candles
    ORDER BY symbol_id, time, source DESC, CASE WHEN source = 3 THEN ordinal END DESC,
        volume DESC, coalesce(trades, -1) DESC, coalesce(quote_volume, -1) DESC, high DESC, low DESC, close DESC, open DESC
), before AS MATERIALIZED (
    SELECT f.symbol_id, f.time,
        (c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades)
        IS DISTINCT FROM (f.open, f.high, f.low, f.close, f.volume, f.quote_volume, f.trades) AS differs
    FROM fresh AS f JOIN candles AS c ON c.symbol_id = f.symbol_id AND c.time = f.time AND c.time >= $1 AND c.time < $2
), written AS (
    INSERT INTO candles AS c
        (symbol_id, time, open, high, low, close, volume, quote_volume, trades, source)
    SELECT symbol_id, time, open, high, low, close, volume, quote_volume, trades, source FROM fresh
    ON CONFLICT (symbol_id, time) DO UPDATE
    SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume, quote_volume = excluded.quote_volume, trades = excluded.trades, source = excluded.source
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
    SELECT w.symbol_id, w.time, b.differs IS NOT NULL AS existed
    FROM written AS w LEFT JOIN before AS b ON b.symbol_id = w.symbol_id AND b.time = w.time
    WHERE b.differs IS DISTINCT FROM false
), daily AS (
    SELECT symbol_id, tstzrange(min(time), max(time) + interval '1 minute') AS span
    FROM changed
    GROUP BY symbol_id, date_bin('24 hours', time, '2000-01-03 00:00:00+00')
), ledger AS (
    INSERT INTO rollup_dirty (symbol_id, span)
    SELECT symbol_id, unnest(range_agg(span)) FROM daily GROUP BY symbol_id
)
SELECT count(*)::int AS changed,
    coalesce(array_agg(symbol_id) FILTER (WHERE existed), '{}') AS symbol_ids,
    coalesce(array_agg(time) FILTER (WHERE existed), '{}') AS times
FROM changed
