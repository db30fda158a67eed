-- Reads that need less: the ledger is looked at where bars are asked, and few amounts become numeric.

CREATE INDEX rollup_dirty_span_idx ON rollup_dirty USING gist (span);

-- A float8 becomes numeric by way of text. An amount of at most eight decimals, and below ten million, is as well a
-- whole number of hundred-millionths: if dividing that number gives the very same float8, then it is the fifteen
-- digits that PostgreSQL makes of it as numeric, and sums of whole numbers are exact in any order.
CREATE FUNCTION satoshis(amount float8) RETURNS int8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN abs(amount) < 1e7 AND round(amount * 1e8) / 1e8 = amount THEN (amount * 1e8)::int8 END
$$;
COMMENT ON FUNCTION satoshis IS
    'An amount in hundred-millionths, if it is a whole number of them below ten million; else NULL. Sums of it are exact and cheap.';

-- exact_X as before, but from the ledger's spans within [starts, ends) alone: a span elsewhere costs nothing, and a finer
-- timeframe is not asked once for all spans of the ledger inside each of them.
DO $do$
DECLARE
    step record;
BEGIN
FOR step IN SELECT * FROM rollup_chain() LOOP
    EXECUTE format($create$
        CREATE OR REPLACE FUNCTION exact_%1$s(symbol_id int, starts timestamptz, ends timestamptz)
        RETURNS TABLE (bucket timestamptz, open float8, high float8, low float8, close float8,
            volume numeric, quote_volume numeric, trades bigint)
        LANGUAGE sql STABLE BEGIN ATOMIC
            SELECT b.bucket, b.open, b.high, b.low, b.close, b.volume, b.quote_volume, b.trades
            FROM (
                SELECT coalesce(range_agg(d.span), '{}') AS spans FROM rollup_dirty AS d
                WHERE d.symbol_id = $1 AND d.span && tstzrange($2, greatest($2, $3))
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
                FROM rollup_dirty AS d
                WHERE d.symbol_id = $1 AND d.span && tstzrange($2, greatest($2, $3))
            ) AS dirty
            CROSS JOIN LATERAL (
                SELECT * FROM exact_%2$s($1, greatest(lower(dirty.span), $2), least(upper(dirty.span), $3)) OFFSET 0
            ) AS m
            GROUP BY bucket_%1$s(m.bucket);
        END;
    $create$, step.name, step.source);
END LOOP;
END $do$;

-- As before, but minutes are summed by satoshis(), and stored bars are taken as they are where the ledger is silent.
CREATE OR REPLACE FUNCTION symbol_candles(symbol_id int, step interval, starts timestamptz, ends timestamptz, newest int,
    zone text, origin timestamptz)
RETURNS TABLE (bucket timestamptz, open float8, high float8, low float8, close float8,
    volume float8, quote_volume float8, trades bigint, partial boolean)
LANGUAGE plpgsql STABLE SET jit = off AS $function$
DECLARE
    known tstzmultirange := known_minutes(symbol_id);
    width float8 := extract(epoch FROM step);
    fixed boolean := width < 86400 OR extract(day FROM step) + extract(month FROM step) + extract(year FROM step) = 0;
    oldest timestamptz := lower(known);
    until timestamptz := least(ends, upper(known));
    since timestamptz;
    bounds timestamptz[];
    source text;
    members text;
    total text;
    found bigint;
BEGIN
    IF known = '{}' THEN
        RETURN;
    END IF;
    IF zone ~ '^[+-]\d\d:\d\d$' THEN  -- PostgreSQL would take a bare +08:00 for west of Greenwich
        zone := format('<%s>%s', zone, translate(zone, '+-', '-+'));
    END IF;
    IF extract(day FROM step) > 0 AND zone = 'UTC' THEN
        step := make_interval(hours => extract(day FROM step)::int * 24);
        fixed := true;
    END IF;
    IF fixed THEN
        origin := coalesce(origin, '2000-01-03 00:00:00+00');
        oldest := date_bin(step, oldest, origin);
        until := date_bin(step, until - interval '1 microsecond', origin) + step;
    ELSE
        oldest := (timeframe_bounds(step, oldest, oldest, zone, origin))[1];
        bounds := timeframe_bounds(step, until, until, zone, origin);
        until := bounds[cardinality(bounds)];
    END IF;
    starts := greatest(starts, oldest);

    -- From the newest window back to ever wider older ones, until enough bars are found. Without `newest`: all at once.
    WHILE until > starts AND newest IS DISTINCT FROM 0 LOOP
        since := greatest(starts, until - make_interval(secs => least(newest * width, 1e11)));
        IF fixed THEN
            since := date_bin(step, since, origin);
            since := since + CASE WHEN since < starts THEN step ELSE interval '0' END;
            bounds := ARRAY[since, since + step];
        ELSE
            bounds := timeframe_bounds(step, since, until, zone, origin);
            bounds := bounds[CASE WHEN bounds[1] < starts THEN 2 ELSE 1 END:];
            since := bounds[1];
        END IF;
        EXIT WHEN since >= until;
        source := timeframe_source(bounds, fixed);
        total := 'sum(m.%s)';
        IF source = '1min' THEN
            members := '(SELECT c.time AS bucket, c.* FROM candles AS c WHERE c.symbol_id = $1 AND c.time >= $2 AND c.time < $3)';
            total := '(coalesce(sum(satoshis(m.%1$s)), 0) * 0.00000001'
                ' + coalesce(sum(m.%1$s::numeric) FILTER (WHERE satoshis(m.%1$s) IS NULL), 0))';
        ELSIF EXISTS (
            SELECT FROM rollup_dirty AS d
            WHERE d.symbol_id = symbol_candles.symbol_id AND d.span && tstzrange(since, until)
        ) THEN
            members := format('exact_%s($1, $2, $3)', source);
        ELSE
            members := format('(SELECT * FROM bars_%s WHERE symbol_id = $1 AND bucket >= $2 AND bucket < $3)', source);
        END IF;
        RETURN QUERY EXECUTE format(
            CASE WHEN fixed AND step = interval '1 minute' THEN $minutes$
                SELECT c.time, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades::bigint,
                    NOT $5 @> tstzrange(c.time, c.time + interval '1 minute')
                FROM candles AS c WHERE c.symbol_id = $1 AND c.time >= $2 AND c.time < $3
                ORDER BY c.time DESC LIMIT $4
            $minutes$ ELSE $bars$
                SELECT %3$s, g.open, g.high, g.low, g.close, g.volume, g.quote_volume, g.trades,
                    NOT $5 @> tstzrange(%3$s, %4$s)
                FROM (
                    SELECT %2$s AS place,
                        (array_agg(m.open ORDER BY m.bucket))[1] AS open, max(m.high) AS high, min(m.low) AS low,
                        (array_agg(m.close ORDER BY m.bucket))[count(*)::int] AS close, %5$s::float8 AS volume,
                        CASE WHEN count(m.quote_volume) = count(*) THEN %6$s::float8 END AS quote_volume,
                        CASE WHEN count(m.trades) = count(*) THEN sum(m.trades)::bigint END AS trades
                    FROM %1$s AS m
                    GROUP BY 1
                    ORDER BY 1 DESC LIMIT $4
                ) AS g WHERE %3$s >= $9
            $bars$ END,
            members,
            CASE WHEN fixed THEN 'date_bin($6, m.bucket, $7)' ELSE 'width_bucket(m.bucket, $8)' END,
            CASE WHEN fixed THEN 'g.place' ELSE '$8[g.place]' END,
            CASE WHEN fixed THEN 'g.place + $6' ELSE '$8[g.place + 1]' END,
            format(total, 'volume'), format(total, 'quote_volume')
        ) USING symbol_id, since, until, newest, known, step, origin, bounds,
            CASE source WHEN '1min' THEN horizon_of(symbol_id) ELSE '-infinity' END;  -- no bucket without all its minutes
        GET DIAGNOSTICS found = ROW_COUNT;
        newest := newest - found;
        until := since;
        width := width * 16;
    END LOOP;
END $function$;
