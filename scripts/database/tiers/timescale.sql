-- From apache: continuous aggregates take the place of the stored_X tables, and columnstore is allowed.

-- All bars are to be made: every minute stands in a stored bar of seven days or in the ledger.
INSERT INTO rollup_dirty (symbol_id, span) SELECT symbol_id, tstzrange(bucket, bucket_7day_end(bucket)) FROM stored_7day;

-- Columnstore takes no trigger with a table of what was deleted, so each row notes its day, once in a transaction.
CREATE FUNCTION note_deleted_candle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rollup_dirty (symbol_id, span)
    SELECT old.symbol_id, tstzrange(bucket_daily(old.time), bucket_daily_end(old.time))
    WHERE NOT EXISTS (
        SELECT FROM rollup_dirty AS d
        WHERE d.symbol_id = old.symbol_id AND d.span @> old.time AND d.xmin = pg_current_xact_id()::xid
    );
    RETURN NULL;
END $$;
COMMENT ON FUNCTION note_deleted_candle IS 'Writes the day of a deleted minute to rollup_dirty.';
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
        DROP TABLE stored_%1$s;
    $create$, step.name, step.width, CASE step.source WHEN '1min' THEN 'candles' ELSE 'rolled_' || step.source END,
        step.chunk, CASE step.source WHEN '1min' THEN 'time' ELSE 'bucket' END);
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

-- A refresh of a continuous aggregate commits, so the ledger's rows leave last, and those exactly that were read: until
-- then readers aggregate their spans, and after a crash the next refresh finds them. The lock is the session's.
-- Forced, because the ledger knows best: TimescaleDB 2.23 forgets that a refresh deleted bars from a columnstore.
CREATE OR REPLACE PROCEDURE refresh_bars(INOUT drained bigint DEFAULT NULL) LANGUAGE plpgsql AS $procedure$
DECLARE
    names CONSTANT text[] := ARRAY(SELECT name FROM rollup_chain() ORDER BY place);
    ids bigint[];
    spans tstzrange[];
    windows tstzrange[];
    rolled text;
    part tstzrange;
BEGIN
    drained := 0;
    PERFORM pg_advisory_lock(7310003);
    LOOP
        SELECT array_agg(id), array_agg(span) INTO ids, spans
        FROM (SELECT id, span FROM rollup_dirty ORDER BY id LIMIT 1000) AS oldest;
        EXIT WHEN ids IS NULL;
        FOREACH rolled IN ARRAY names LOOP
            EXECUTE format($windows$
                SELECT array_agg(part) FROM unnest((
                    SELECT range_agg(tstzrange(bucket_%1$s(lower(span)),
                        bucket_%1$s_end(upper(span) - interval '1 microsecond')))
                    FROM unnest($1) AS span
                )) AS part
            $windows$, rolled) INTO windows USING spans;
            FOREACH part IN ARRAY windows LOOP
                CALL refresh_continuous_aggregate(('rolled_' || rolled)::regclass, lower(part), upper(part), force => true);
                COMMIT;
            END LOOP;
        END LOOP;
        DELETE FROM rollup_dirty WHERE id = ANY (ids);
        COMMIT;
        drained := drained + cardinality(ids);
    END LOOP;
    PERFORM pg_advisory_unlock(7310003);
END $procedure$;

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
