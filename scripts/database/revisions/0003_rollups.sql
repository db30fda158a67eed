-- Bars of eleven timeframes, exact at any moment: stored bars where the ledger is silent, aggregation where it is not.

CREATE VIEW ohlcvs AS
SELECT c.time, s.exchange, s.base_id, s.quote_id, c.open, c.high, c.low, c.close, c.volume
FROM symbol_exchange AS s JOIN candles AS c ON c.symbol_id = s.id
WHERE s.market_type = 'spot';
COMMENT ON VIEW ohlcvs IS 'One-minute candles of spot markets by name. Double precision; cast to numeric to round.';
COMMENT ON COLUMN ohlcvs.time IS 'Start of the minute.';
COMMENT ON COLUMN ohlcvs.volume IS 'In base currency.';

-- The chain: each timeframe is made from the next finer one that divides it.
CREATE FUNCTION rollup_chain() RETURNS TABLE (place int, name text, width text, source text) LANGUAGE sql IMMUTABLE AS $$
    VALUES (1, '5min', '5 minutes', '1min'),
        (2, '15min', '15 minutes', '5min'),
        (3, '30min', '30 minutes', '5min'),
        (4, '1hour', '1 hour', '5min'),
        (5, '3hour', '3 hours', '1hour'),
        (6, '6hour', '6 hours', '1hour'),
        (7, '12hour', '12 hours', '1hour'),
        (8, 'daily', '24 hours', '1hour'),
        (9, '7day', '168 hours', 'daily'),
        (10, '14day', '336 hours', 'daily'),
        (11, '1month', '1 month', 'daily')
$$;
COMMENT ON FUNCTION rollup_chain IS 'The timeframes that are rolled up, finest first, and what each is made from.';

-- Candles in the shape of bars. Volumes are summed as numeric, so that every order of summation gives the same value.
CREATE VIEW bars_1min AS
SELECT symbol_id, time AS bucket, open, high, low, close,
    volume::numeric AS volume, quote_volume::numeric AS quote_volume, trades::bigint AS trades
FROM candles;
COMMENT ON VIEW bars_1min IS 'candles under the column names of the other bars.';

CREATE FUNCTION exact_1min(symbol_id int, starts timestamptz, ends timestamptz)
RETURNS TABLE (bucket timestamptz, open float8, high float8, low float8, close float8,
    volume numeric, quote_volume numeric, trades bigint)
LANGUAGE sql STABLE BEGIN ATOMIC
    SELECT b.bucket, b.open, b.high, b.low, b.close, b.volume, b.quote_volume, b.trades
    FROM bars_1min AS b
    WHERE b.symbol_id = $1 AND b.bucket >= $2 AND b.bucket < $3;
END;
COMMENT ON FUNCTION exact_1min IS 'The minutes of a symbol that start in [starts, ends).';

-- For each timeframe X of the chain: bucket_X(t) and bucket_X_end(t) bound the bucket that t falls in; bars_X stores;
-- exact_X(symbol_id, starts, ends) answers, for bounds that are bounds of buckets; ohlcvs_summary_X shows it by name.
-- Fixed widths count from Monday 2000-01-03 00:00 UTC, months by the UTC calendar, whatever the session's zone.
-- These are plain SQL functions of one SELECT, which the planner unfolds in place: filters reach the index.
-- Their bodies are bound when they are made, because a materialized view is refreshed with an empty search path.
-- OFFSET 0 keeps it from reading the finer bars before it knows which spans are dirty.
DO $do$
DECLARE
    step record;
    floors text;
BEGIN
FOR step IN SELECT * FROM rollup_chain() LOOP
    floors := CASE step.width
        WHEN '1 month' THEN $$date_trunc('month', $1 AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'$$
        ELSE format($$date_bin(%L, $1, '2000-01-03 00:00:00+00')$$, step.width)
    END;
    EXECUTE format($create$
        CREATE FUNCTION bucket_%1$s(t timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE
            RETURN %2$s;
        CREATE FUNCTION bucket_%1$s_end(t timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE
            RETURN ((%2$s) AT TIME ZONE 'UTC' + interval %3$L) AT TIME ZONE 'UTC';

        CREATE TABLE bars_%1$s (
            symbol_id int NOT NULL,
            bucket timestamptz NOT NULL,
            open double precision NOT NULL,
            high double precision NOT NULL,
            low double precision NOT NULL,
            close double precision NOT NULL,
            volume numeric NOT NULL,
            quote_volume numeric,
            trades bigint,
            PRIMARY KEY (symbol_id, bucket)
        ) WITH (fillfactor = 90);

        CREATE FUNCTION exact_%1$s(symbol_id int, starts timestamptz, ends timestamptz)
        RETURNS TABLE (bucket timestamptz, open float8, high float8, low float8, close float8,
            volume numeric, quote_volume numeric, trades bigint)
        LANGUAGE sql STABLE BEGIN ATOMIC
            SELECT b.bucket, b.open, b.high, b.low, b.close, b.volume, b.quote_volume, b.trades
            FROM (
                SELECT coalesce(range_agg(d.span), '{}') AS spans FROM rollup_dirty AS d WHERE d.symbol_id = $1
            ) AS dirty
            CROSS JOIN bars_%1$s AS b
            WHERE b.symbol_id = $1 AND b.bucket >= $2 AND b.bucket < $3
                AND NOT dirty.spans && tstzrange(b.bucket, bucket_%1$s_end(b.bucket))
            UNION ALL
            SELECT bucket_%1$s(m.bucket),
                (array_agg(m.open ORDER BY m.bucket))[1], max(m.high), min(m.low),
                (array_agg(m.close ORDER BY m.bucket))[count(*)::int], sum(m.volume),
                CASE WHEN count(m.quote_volume) = count(*) THEN sum(m.quote_volume) END,
                CASE WHEN count(m.trades) = count(*) THEN sum(m.trades)::bigint END
            FROM (
                SELECT unnest(range_agg(tstzrange(bucket_%1$s(lower(d.span)),
                    bucket_%1$s_end(upper(d.span) - interval '1 microsecond')))) AS span
                FROM rollup_dirty AS d WHERE d.symbol_id = $1
            ) AS dirty
            CROSS JOIN LATERAL (
                SELECT * FROM exact_%4$s($1, greatest(lower(dirty.span), $2), least(upper(dirty.span), $3)) OFFSET 0
            ) AS m
            GROUP BY bucket_%1$s(m.bucket);
        END;

        CREATE VIEW ohlcvs_summary_%1$s AS
        SELECT b.bucket, s.exchange, s.base_id, s.quote_id,
            b.open, b.high, b.low, b.close, b.volume::double precision AS volume
        FROM symbol_exchange AS s
        CROSS JOIN LATERAL exact_%1$s(s.id, '-infinity', 'infinity') AS b
        WHERE s.market_type = 'spot';
    $create$, step.name, floors, step.width, step.source);

    EXECUTE format($comments$
        COMMENT ON FUNCTION bucket_%1$s(timestamptz) IS 'Start of the %1$s bucket that t falls in.';
        COMMENT ON FUNCTION bucket_%1$s_end(timestamptz) IS 'Start of the %1$s bucket after the one that t falls in.';
        COMMENT ON FUNCTION exact_%1$s IS 'The %1$s bars of a symbol that start in [starts, ends), both bounds of buckets.';
        COMMENT ON TABLE bars_%1$s IS 'Stored %1$s bars, right outside the spans of rollup_dirty. Ask ohlcvs_summary_%1$s.';
        COMMENT ON COLUMN bars_%1$s.symbol_id IS 'symbol_exchange.id';
        COMMENT ON COLUMN bars_%1$s.bucket IS 'Start of the bar.';
        COMMENT ON COLUMN bars_%1$s.open IS 'Open of the first minute.';
        COMMENT ON COLUMN bars_%1$s.high IS 'Highest price.';
        COMMENT ON COLUMN bars_%1$s.low IS 'Lowest price.';
        COMMENT ON COLUMN bars_%1$s.close IS 'Close of the last minute.';
        COMMENT ON COLUMN bars_%1$s.volume IS 'Exact sum over the minutes, in base currency.';
        COMMENT ON COLUMN bars_%1$s.quote_volume IS 'Exact sum over the minutes; NULL when one of them has none.';
        COMMENT ON COLUMN bars_%1$s.trades IS 'Sum over the minutes; NULL when one of them has none.';
        COMMENT ON VIEW ohlcvs_summary_%1$s IS 'Bars of %1$s of spot markets by name, exact at any moment.';
        COMMENT ON COLUMN ohlcvs_summary_%1$s.bucket IS 'Start of the bar.';
        COMMENT ON COLUMN ohlcvs_summary_%1$s.volume IS 'In base currency.';
    $comments$, step.name);
END LOOP;
END $do$;

-- Deleted minutes change bars as well; whoever deletes them need not think of it.
CREATE FUNCTION note_deleted_candles() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rollup_dirty (symbol_id, span)
    SELECT symbol_id, tstzrange(min(time), max(time) + interval '1 minute')
    FROM deleted GROUP BY symbol_id, bucket_daily(time);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION note_deleted_candles IS 'Writes deleted minutes to rollup_dirty.';
CREATE TRIGGER candles_deleted AFTER DELETE ON candles REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION note_deleted_candles();
