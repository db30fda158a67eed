-- The refresher: takes ledger rows and stores the bars that they concern, in one transaction.

-- Joins here are few dirty spans against large tables, always by (symbol_id, time); the settings keep it so before
-- the first ANALYZE.
CREATE FUNCTION refresh_rollups(most_minutes bigint DEFAULT 2000000) RETURNS int LANGUAGE plpgsql
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
                DELETE FROM bars_%1$s AS b USING dirty AS d
                WHERE b.symbol_id = d.symbol_id AND b.bucket >= lower(d.span) AND b.bucket < upper(d.span)
                    AND NOT EXISTS (
                        SELECT FROM bars_%2$s AS m
                        WHERE m.symbol_id = b.symbol_id
                            AND m.bucket >= b.bucket AND m.bucket < bucket_%1$s_end(b.bucket)
                    )
            )
            INSERT INTO bars_%1$s AS b (symbol_id, bucket, open, high, low, close, volume, quote_volume, trades)
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
    'Drains up to most_minutes of the ledger, oldest first, into the eleven bars_ tables; returns how many of its rows. Call again until 0.';
