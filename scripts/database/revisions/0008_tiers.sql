-- Readers know bars_X alone, a view. What stands behind it, and how it is refreshed, depends on the storage tier.

CREATE TABLE storage (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    tier text NOT NULL CHECK (tier IN ('plain', 'apache', 'timescale'))
);
INSERT INTO storage (tier) VALUES ('plain');
COMMENT ON TABLE storage IS 'One row: how this database keeps its candles. candlehouse db raise-tier changes it.';
COMMENT ON COLUMN storage.single IS 'Keeps it one row.';
COMMENT ON COLUMN storage.tier IS
    'plain: stock PostgreSQL, yearly partitions. apache: candles is a hypertable. timescale: continuous aggregates and columnstore as well.';

-- Materialized views cannot be pointed at another table: this one read candles, and reads the view of them now.
DROP MATERIALIZED VIEW weekly_return;
CREATE MATERIALIZED VIEW weekly_return AS
WITH week AS (
    SELECT date_trunc('minute', now) - interval '168 hours' AS starts, date_trunc('minute', now) AS ends FROM clock_now
)
SELECT week.starts AS time, s.exchange, s.base_id, s.quote_id,
    round(((newest.close - oldest.open) / oldest.open * 100)::numeric, 4) AS weekly_return_pct
FROM spot_listed AS s CROSS JOIN week
CROSS JOIN LATERAL (
    SELECT c.open FROM bars_1min AS c
    WHERE c.symbol_id = s.id AND c.bucket >= week.starts AND c.bucket < week.ends ORDER BY c.bucket LIMIT 1
) AS oldest
CROSS JOIN LATERAL (
    SELECT c.close FROM bars_1min AS c
    WHERE c.symbol_id = s.id AND c.bucket >= week.starts AND c.bucket < week.ends ORDER BY c.bucket DESC LIMIT 1
) AS newest
WHERE oldest.open <> 0
ORDER BY weekly_return_pct DESC;
CREATE UNIQUE INDEX wr_idx ON weekly_return (exchange, base_id, quote_id, time);
COMMENT ON MATERIALIZED VIEW weekly_return IS 'Change over the trailing seven days: first open to last close.';
COMMENT ON COLUMN weekly_return.time IS 'Where the seven days begin.';
COMMENT ON COLUMN weekly_return.weekly_return_pct IS 'Percent.';

-- The tables of bars become stored_X. The bodies of exact_X follow a table through its renaming, so they are bound anew.
DO $do$
DECLARE
    step record;
BEGIN
FOR step IN SELECT * FROM rollup_chain() LOOP
    EXECUTE format($create$
        ALTER TABLE bars_%1$s RENAME TO stored_%1$s;
        ALTER INDEX bars_%1$s_pkey RENAME TO stored_%1$s_pkey;
        COMMENT ON TABLE stored_%1$s IS 'What stands behind bars_%1$s.';
        CREATE VIEW bars_%1$s AS
        SELECT symbol_id, bucket, open, high, low, close, volume, quote_volume, trades FROM stored_%1$s;
        COMMENT ON VIEW bars_%1$s IS 'Stored %1$s bars, right outside the spans of rollup_dirty. Ask ohlcvs_summary_%1$s.';
    $create$, step.name);
    EXECUTE replace(pg_get_functiondef(format('exact_%s', step.name)::regproc),
        format('stored_%s', step.name), format('bars_%s', step.name));
END LOOP;
END $do$;

-- As before, but writes to stored_X.
CREATE OR REPLACE FUNCTION refresh_rollups(most_minutes bigint DEFAULT 2000000) RETURNS int LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off AS $function$
DECLARE
    symbol_ids int[];
    spans tstzrange[];
    step record;
BEGIN
    PERFORM pg_advisory_xact_lock(7310003);

    -- The oldest rows, up to most_minutes in sum; at least one.
    WITH ledger AS (
        SELECT ctid AS place, id, extract(epoch FROM upper(span) - lower(span)) / 60 AS minutes FROM rollup_dirty
    ), running AS (
        SELECT place, sum(minutes) OVER (ORDER BY id) - minutes AS minutes_before FROM ledger
    ), taken AS (
        DELETE FROM rollup_dirty WHERE ctid = ANY (ARRAY(SELECT place FROM running WHERE minutes_before < most_minutes))
        RETURNING symbol_id, span
    )
    SELECT array_agg(symbol_id), array_agg(span) INTO symbol_ids, spans FROM taken;

    IF symbol_ids IS NULL THEN
        RETURN 0;
    END IF;
    FOR step IN SELECT * FROM rollup_chain() ORDER BY place LOOP
        EXECUTE format($statement$
            WITH dirty AS MATERIALIZED (
                SELECT d.symbol_id, unnest(range_agg(tstzrange(bucket_%1$s(lower(d.span)),
                    bucket_%1$s_end(upper(d.span) - interval '1 microsecond')))) AS span
                FROM unnest($1, $2) AS d (symbol_id, span)
                GROUP BY d.symbol_id
            ), emptied AS (
                DELETE FROM stored_%1$s AS b USING dirty AS d
                WHERE b.symbol_id = d.symbol_id AND b.bucket >= lower(d.span) AND b.bucket < upper(d.span)
                    AND NOT EXISTS (
                        SELECT FROM bars_%2$s AS m
                        WHERE m.symbol_id = b.symbol_id
                            AND m.bucket >= b.bucket AND m.bucket < bucket_%1$s_end(b.bucket)
                    )
            )
            INSERT INTO stored_%1$s AS b (symbol_id, bucket, open, high, low, close, volume, quote_volume, trades)
            SELECT m.symbol_id, bucket_%1$s(m.bucket),
                (array_agg(m.open ORDER BY m.bucket))[1], max(m.high), min(m.low),
                (array_agg(m.close ORDER BY m.bucket))[count(*)::int], sum(m.volume),
                CASE WHEN count(m.quote_volume) = count(*) THEN sum(m.quote_volume) END,
                CASE WHEN count(m.trades) = count(*) THEN sum(m.trades)::bigint END
            FROM dirty AS d JOIN bars_%2$s AS m
                ON m.symbol_id = d.symbol_id AND m.bucket >= lower(d.span) AND m.bucket < upper(d.span)
            GROUP BY m.symbol_id, bucket_%1$s(m.bucket)
            ON CONFLICT (symbol_id, bucket) DO UPDATE
            SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
                volume = excluded.volume, quote_volume = excluded.quote_volume, trades = excluded.trades
            WHERE (b.open, b.high, b.low, b.close, b.volume, b.quote_volume, b.trades) IS DISTINCT FROM
                (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume,
                excluded.quote_volume, excluded.trades)
        $statement$, step.name, step.source) USING symbol_ids, spans;
    END LOOP;
    RETURN cardinality(symbol_ids);
END $function$;
COMMENT ON FUNCTION refresh_rollups IS
    'Drains up to most_minutes of the ledger, oldest first, into the eleven stored_ tables; returns how many of its rows. What refresh_bars() is made of.';

CREATE PROCEDURE refresh_bars(INOUT drained bigint DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    taken int;
BEGIN
    drained := 0;
    LOOP
        taken := refresh_rollups();
        EXIT WHEN taken = 0;
        drained := drained + taken;
        COMMIT;
    END LOOP;
END $$;
COMMENT ON PROCEDURE refresh_bars IS
    'Empties the ledger into the stored bars, in several transactions; tells how many of its rows. The same call on every storage tier.';

-- A hypertable makes its chunks by itself.
CREATE OR REPLACE FUNCTION ensure_partitions(last_year int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    year int;
BEGIN
    FOR year IN 2009 .. last_year LOOP
        CONTINUE WHEN (SELECT tier FROM storage) <> 'plain' OR to_regclass('candles_' || year) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I PARTITION OF candles FOR VALUES FROM (%L) TO (%L)',
            'candles_' || year, year || '-01-01 00:00:00+00', year + 1 || '-01-01 00:00:00+00');
        EXECUTE format('COMMENT ON TABLE %I IS %L', 'candles_' || year, 'Candles of ' || year || ' (UTC).');
    END LOOP;
END $$;
COMMENT ON FUNCTION ensure_partitions IS
    'On the plain tier creates the yearly partitions of candles from 2009 to last_year that do not exist yet.';
