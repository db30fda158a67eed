-- Retention: minutes before a symbol's horizon are dropped, and the bars that were made of them stay as they are.

-- A horizon is a midnight: no bar of a day or less has minutes on both sides, and longer ones are made of days.
ALTER TABLE coverage
    ADD COLUMN horizon timestamptz CHECK (horizon = bucket_daily(horizon)),
    ADD COLUMN dropped tstzrange;
COMMENT ON COLUMN coverage.horizon IS
    'Minutes before are not kept, wanted or taken any more, and bars before never change again; NULL where all are kept.';
COMMENT ON COLUMN coverage.dropped IS
    'From the first minute before the horizon that was stored to the end of the last; of these only bars are left.';

CREATE FUNCTION horizon_of(symbol_id int) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT c.horizon FROM coverage AS c WHERE c.symbol_id = $1), '-infinity')
$$;
COMMENT ON FUNCTION horizon_of IS 'The moment before which minutes of a symbol are not kept; -infinity where all are.';

CREATE FUNCTION is_fetched_before(symbol_id int, moment timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM fetch_jobs AS j JOIN fetch_job_symbols AS s ON s.job_id = j.id
        WHERE s.symbol_id = $1 AND j.state IN ('queued', 'running') AND lower(s.remaining) < $2
    ) OR EXISTS (SELECT FROM fetch_leases AS l WHERE l.symbol_id = $1 AND lower(l.span) < $2)
$$;
COMMENT ON FUNCTION is_fetched_before IS 'Whether minutes of a symbol before a moment are being fetched.';

-- The ledger never points before a horizon: a refresh would make the bars there of minutes that are gone. Whoever
-- changes minutes holds this lock shared, and whoever moves a horizon holds it alone, so each knows of the other.
CREATE FUNCTION cut_ledger_at_horizons() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7310006);
    IF EXISTS (SELECT FROM added AS a JOIN coverage AS c USING (symbol_id) WHERE lower(a.span) < c.horizon) THEN
        WITH cut AS (
            DELETE FROM rollup_dirty AS d USING coverage AS c
            WHERE d.symbol_id = ANY (ARRAY(SELECT symbol_id FROM added)) AND c.symbol_id = d.symbol_id
                AND lower(d.span) < c.horizon
            RETURNING d.symbol_id, tstzrange(c.horizon, greatest(upper(d.span), c.horizon)) AS span
        )
        INSERT INTO rollup_dirty (symbol_id, span) SELECT symbol_id, span FROM cut WHERE NOT isempty(span);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION cut_ledger_at_horizons IS 'Takes out of rollup_dirty what lies before a horizon.';
CREATE TRIGGER rollup_dirty_added AFTER INSERT ON rollup_dirty REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION cut_ledger_at_horizons();
COMMENT ON TRIGGER rollup_dirty_added ON rollup_dirty IS 'The ledger never points before a horizon.';

-- Of the timescale tier, where columnstore takes no trigger with a table of what was deleted: each row notes its day,
-- once in a transaction.
CREATE OR REPLACE FUNCTION note_deleted_candle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF old.time >= horizon_of(old.symbol_id) AND NOT EXISTS (
        SELECT FROM rollup_dirty AS d
        WHERE d.symbol_id = old.symbol_id AND d.span @> old.time AND d.xmin = pg_current_xact_id()::xid
    ) THEN
        INSERT INTO rollup_dirty (symbol_id, span)
        VALUES (old.symbol_id, tstzrange(bucket_daily(old.time), bucket_daily_end(old.time)));
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION note_deleted_candle IS 'Writes the day of a deleted minute to rollup_dirty; used on the timescale tier.';

CREATE OR REPLACE FUNCTION known_minutes(symbol_id int) RETURNS tstzmultirange LANGUAGE sql STABLE AS $$
    SELECT coalesce(asked.covered, '{}') + coalesce(tstzmultirange(range_merge(
        coalesce(stored.span, asked.dropped), coalesce(asked.dropped, stored.span))), '{}')
    FROM (SELECT) AS one
    LEFT JOIN (SELECT c.covered, c.dropped FROM coverage AS c WHERE c.symbol_id = $1) AS asked ON true
    LEFT JOIN (
        SELECT tstzrange(oldest.time, newest.time + interval '1 minute') AS span
        FROM (SELECT c.time FROM candles AS c WHERE c.symbol_id = $1 ORDER BY c.time LIMIT 1) AS oldest,
            (SELECT c.time FROM candles AS c WHERE c.symbol_id = $1 ORDER BY c.time DESC LIMIT 1) AS newest
    ) AS stored ON true
$$;
COMMENT ON FUNCTION known_minutes IS
    'What an exchange has answered for, and all between the first and the last minute of a symbol that is or was stored.';

CREATE FUNCTION must_be_kept(symbol_id int, minute timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7310006);
    IF minute < horizon_of(symbol_id) THEN
        RAISE EXCEPTION 'Minutes of this market before % are not kept any more, and % is one.',
            horizon_of(symbol_id), minute USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Bars of that time stay as they are. SELECT horizon FROM coverage tells what retention has dropped.';
    END IF;
END $$;
COMMENT ON FUNCTION must_be_kept IS 'Refuses a minute before the horizon of its symbol.';

DO $do$
DECLARE
    place CONSTANT text := 'PERFORM pg_advisory_xact_lock(7310002, id % 64);';
    bars CONSTANT text := E') AS g\n            $bars$ END,';
BEGIN
    EXECUTE replace(pg_get_functiondef('ohlcvs_insert'::regproc), place,
        E'PERFORM must_be_kept(id, NEW.time);\n    ' || place);
    -- Bars that are made of minutes begin with the first bucket that has all of them.
    EXECUTE replace(replace(pg_get_functiondef('symbol_candles'::regproc), bars,
        replace(bars, 'AS g', 'AS g WHERE %3$s >= $9')),
        'step, origin, bounds;', $$step, origin, bounds,
            CASE source WHEN '1min' THEN horizon_of(symbol_id) ELSE '-infinity' END;$$);
    -- Of minutes before a horizon no state is told: they are neither there nor missing.
    EXECUTE replace(pg_get_functiondef('minute_regions'::regproc), 'greatest(date_trunc(''minute'', starts),',
        'greatest(date_trunc(''minute'', starts), c.horizon,');
    -- What was known of a bar that corrections have touched since is made of minutes, and these must all be there.
    EXECUTE replace(pg_get_functiondef('symbol_candles_as_of'::regproc), 'CONTINUE WHEN open IS NULL;',
        'CONTINUE WHEN open IS NULL OR symbol_candles_as_of.bucket < horizon_of(symbol_id);');
END $do$;

-- What no symbol keeps goes at once where a whole partition or chunk is of it; the rest is deleted row by row.
CREATE FUNCTION drop_whole_chunks() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    oldest timestamptz;
    whole regclass;
    dropped int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7310006);
    SELECT min(kept.time) INTO oldest FROM symbol_exchange AS s CROSS JOIN LATERAL (
        SELECT c.time FROM candles AS c WHERE c.symbol_id = s.id AND c.time >= horizon_of(s.id) ORDER BY c.time LIMIT 1
    ) AS kept;
    IF oldest IS NULL THEN
        RETURN 0;
    ELSIF (SELECT tier FROM storage) <> 'plain' THEN
        RETURN (SELECT count(*) FROM drop_chunks('candles', older_than => oldest));
    END IF;
    FOR whole IN
        SELECT to_regclass('candles_' || year)
        FROM generate_series(2009, extract(year FROM oldest AT TIME ZONE 'UTC')::int - 1) AS year
        WHERE pg_relation_size(to_regclass('candles_' || year)) > 0
    LOOP
        EXECUTE format('TRUNCATE %s', whole);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
COMMENT ON FUNCTION drop_whole_chunks IS
    'Empties the partitions, or drops the chunks, of candles that lie before every symbol''s horizon; tells how many they are.';

-- Of the timescale tier. A refresh of a continuous aggregate makes the bars of all symbols anew, those before a horizon
-- too. So theirs works after the last horizon; before it ours writes, symbol by symbol, what the aggregate would hold.
CREATE FUNCTION roll_up_before(horizon timestamptz, step text, source text, symbol_ids int[], spans tstzrange[])
RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
    part record;
    materialized text;
BEGIN
    SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) INTO materialized
    FROM timescaledb_information.continuous_aggregates WHERE view_name = 'rolled_' || step;
    PERFORM set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
    FOR part IN EXECUTE format($parts$
        SELECT d.symbol_id, unnest(range_agg(tstzrange(bucket_%1$s(lower(d.span)),
            bucket_%1$s_end(least(upper(d.span), $3) - interval '1 microsecond')))) AS span
        FROM unnest($1, $2) AS d (symbol_id, span) WHERE lower(d.span) < $3 GROUP BY d.symbol_id
    $parts$, step) USING symbol_ids, spans, horizon LOOP
        EXECUTE format('DELETE FROM %s WHERE symbol_id = $1 AND bucket >= $2 AND bucket < $3', materialized)
        USING part.symbol_id, lower(part.span), upper(part.span);
        EXECUTE format($insert$
            INSERT INTO %1$s (symbol_id, bucket, open, high, low, close, volume, quote_volume, trades)
            SELECT $1, bucket_%2$s(m.bucket),
                (array_agg(m.open ORDER BY m.bucket))[1], max(m.high), min(m.low),
                (array_agg(m.close ORDER BY m.bucket))[count(*)::int], sum(m.volume),
                CASE WHEN count(m.quote_volume) = count(*) THEN sum(m.quote_volume) END,
                CASE WHEN count(m.trades) = count(*) THEN sum(m.trades)::bigint END
            FROM bars_%3$s AS m WHERE m.symbol_id = $1 AND m.bucket >= $2 AND m.bucket < $3
            GROUP BY bucket_%2$s(m.bucket)
        $insert$, materialized, step, source) USING part.symbol_id, lower(part.span), upper(part.span);
    END LOOP;
END $function$;
COMMENT ON FUNCTION roll_up_before IS
    'On the timescale tier: stores the bars of one timeframe that changed spans before the last horizon concern.';

-- A refresh of a continuous aggregate commits, so the ledger's rows leave last, and those exactly that were read: until
-- then readers aggregate their spans, and after a crash the next refresh finds them. The lock is the session's, and no
-- horizon moves while it is held.
-- Forced, because the ledger knows best: TimescaleDB 2.23 forgets that a refresh deleted bars from a columnstore.
CREATE PROCEDURE refresh_aggregates(INOUT drained bigint DEFAULT NULL) LANGUAGE plpgsql AS $procedure$
DECLARE
    names CONSTANT text[] := ARRAY(SELECT name FROM rollup_chain() ORDER BY place);
    sources CONSTANT text[] := ARRAY(SELECT source FROM rollup_chain() ORDER BY place);
    ids bigint[];
    symbol_ids int[];
    spans tstzrange[];
    horizon timestamptz;
    windows tstzrange[];
    part tstzrange;
BEGIN
    drained := 0;
    PERFORM pg_advisory_lock(7310003);
    LOOP
        SELECT array_agg(id), array_agg(symbol_id), array_agg(span) INTO ids, symbol_ids, spans
        FROM (SELECT * FROM rollup_dirty ORDER BY id LIMIT 1000) AS oldest;
        EXIT WHEN ids IS NULL;
        SELECT coalesce(max(c.horizon), '-infinity') INTO horizon FROM coverage AS c;
        FOR place IN 1 .. cardinality(names) LOOP
            PERFORM roll_up_before(horizon, names[place], sources[place], symbol_ids, spans);
            EXECUTE format($windows$
                SELECT coalesce(array_agg(part), '{}') FROM unnest((
                    SELECT range_agg(tstzrange(bucket_%1$s(greatest(lower(span), $2)),
                        bucket_%1$s_end(upper(span) - interval '1 microsecond')))
                    FROM unnest($1) AS span WHERE upper(span) > $2
                )) AS part
            $windows$, names[place]) INTO windows USING spans, horizon;
            COMMIT;
            FOREACH part IN ARRAY windows LOOP
                CALL refresh_continuous_aggregate(
                    ('rolled_' || names[place])::regclass, lower(part), upper(part), force => true);
                COMMIT;
            END LOOP;
        END LOOP;
        DELETE FROM rollup_dirty WHERE id = ANY (ids);
        COMMIT;
        drained := drained + cardinality(ids);
    END LOOP;
    PERFORM pg_advisory_unlock(7310003);
END $procedure$;
COMMENT ON PROCEDURE refresh_aggregates IS 'What refresh_bars() is on the timescale tier.';

DO $do$
BEGIN
    IF (SELECT tier FROM storage) = 'timescale' THEN
        DROP PROCEDURE refresh_bars;
        ALTER PROCEDURE refresh_aggregates RENAME TO refresh_bars;
        COMMENT ON PROCEDURE refresh_bars IS
            'Empties the ledger into the stored bars, in several transactions; tells how many of its rows. The same call on every storage tier.';
    END IF;
END $do$;
