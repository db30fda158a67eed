-- From apache: continuous aggregates take the place of the stored_X tables, and columnstore is allowed.

-- All bars are to be made: every minute stands in a stored bar of seven days or in the ledger.
INSERT INTO rollup_dirty (symbol_id, span) SELECT symbol_id, tstzrange(bucket, bucket_7day_end(bucket)) FROM stored_7day;

-- Columnstore takes no trigger with a table of what was deleted.
DROP TRIGGER candles_deleted ON candles;
CREATE TRIGGER candles_deleted AFTER DELETE ON candles FOR EACH ROW EXECUTE FUNCTION note_deleted_candle();
COMMENT ON TRIGGER candles_deleted ON candles IS 'Deleted minutes change bars as well.';

ALTER TABLE candles SET (
    timescaledb.compress, timescaledb.compress_segmentby = 'symbol_id', timescaledb.compress_orderby = 'time');

-- Materialized only: what is not materialized yet, readers aggregate by the ledger. Chunks hold some ten thousand bars
-- of a symbol.
DO $do$
DECLARE
    step record;
    materialized text;
BEGIN
FOR step IN SELECT *, CASE WHEN width LIKE '%minutes' THEN '168 days' WHEN source = 'daily' OR name = 'daily'
        THEN '3640 days' ELSE '728 days' END AS chunk FROM rollup_chain() ORDER BY place LOOP
    EXECUTE format($create$
        CREATE MATERIALIZED VIEW rolled_%1$s
        WITH (timescaledb.continuous, timescaledb.materialized_only = true, timescaledb.chunk_interval = %4$L) AS
        SELECT symbol_id, time_bucket(%2$L, %5$s) AS bucket,
            first(open, %5$s) AS open, max(high) AS high, min(low) AS low, last(close, %5$s) AS close,
            sum(volume::numeric) AS volume,
            CASE WHEN count(quote_volume) = count(*) THEN sum(quote_volume::numeric) END AS quote_volume,
            CASE WHEN count(trades) = count(*) THEN sum(trades)::bigint END AS trades
        FROM %3$I GROUP BY symbol_id, time_bucket(%2$L, %5$s) WITH NO DATA;
        COMMENT ON VIEW rolled_%1$s IS 'What stands behind bars_%1$s: a continuous aggregate, refreshed by refresh_bars().';
        ALTER MATERIALIZED VIEW rolled_%1$s SET (timescaledb.compress = true,
            timescaledb.compress_segmentby = 'symbol_id', timescaledb.compress_orderby = 'bucket');
        CREATE OR REPLACE VIEW bars_%1$s AS
        SELECT symbol_id, bucket, open, high, low, close, volume, quote_volume, trades FROM rolled_%1$s;
    $create$, step.name, step.width, CASE step.source WHEN '1min' THEN 'candles' ELSE 'rolled_' || step.source END,
        step.chunk, CASE step.source WHEN '1min' THEN 'time' ELSE 'bucket' END);
    SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) INTO materialized
    FROM timescaledb_information.continuous_aggregates WHERE view_name = 'rolled_' || step.name;
    -- Bars before a horizon cannot be made again; those that reach over it are made anew of days.
    EXECUTE format($keep$
        INSERT INTO %2$s (symbol_id, bucket, open, high, low, close, volume, quote_volume, trades)
        SELECT b.symbol_id, b.bucket, b.open, b.high, b.low, b.close, b.volume, b.quote_volume, b.trades
        FROM stored_%1$s AS b JOIN coverage AS c USING (symbol_id) WHERE b.bucket < c.horizon;
        DROP TABLE stored_%1$s;
    $keep$, step.name, materialized);
END LOOP;
END $do$;

DO $do$
DECLARE
    col record;
BEGIN
    FOR col IN
        SELECT step.name AS step, a.attname AS name, col_description(a.attrelid, a.attnum) AS said
        FROM rollup_chain() AS step JOIN pg_attribute AS a ON a.attrelid = ('bars_' || step.name)::regclass AND a.attnum > 0
    LOOP
        EXECUTE format('COMMENT ON COLUMN rolled_%s.%I IS %L', col.step, col.name, col.said);
    END LOOP;
END $do$;

CREATE OR REPLACE FUNCTION refresh_rollups(most_minutes bigint DEFAULT 2000000) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'On the timescale tier bars are refreshed outside transactions: CALL refresh_bars()';
END $$;
COMMENT ON FUNCTION refresh_rollups IS 'Of the other storage tiers. Here: CALL refresh_bars().';

-- From here on a refresh is theirs; revisions/0015_retention.sql holds it.
DROP PROCEDURE refresh_bars;
ALTER PROCEDURE refresh_aggregates RENAME TO refresh_bars;
COMMENT ON PROCEDURE refresh_bars IS
    'Empties the ledger into the stored bars, in several transactions; tells how many of its rows. The same call on every storage tier.';

-- Columnstore by our own schedule: it needs no background worker, and never more than one chunk is locked.
CREATE PROCEDURE pack_history(before timestamptz, INOUT packed int DEFAULT NULL) LANGUAGE plpgsql AS $procedure$
DECLARE
    chunks CONSTANT regclass[] := ARRAY(
        SELECT chunk FROM (
            SELECT 'candles' AS name UNION ALL SELECT 'rolled_' || c.name FROM rollup_chain() AS c
        ) AS relations CROSS JOIN LATERAL show_chunks(relations.name::regclass, older_than => before) AS chunk
    );
    chunk regclass;
BEGIN
    packed := 0;
    FOREACH chunk IN ARRAY chunks LOOP
        PERFORM compress_chunk(chunk, if_not_compressed => true);
        packed := packed + 1;
        COMMIT;
    END LOOP;
END $procedure$;
COMMENT ON PROCEDURE pack_history IS
    'Puts the chunks of candles and of bars that end before a moment into columnstore, and what was written to them since; tells how many they are.';

UPDATE storage SET tier = 'timescale';
