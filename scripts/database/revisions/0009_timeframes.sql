-- Bars of any timeframe, from the coarsest stored bars whose bounds fit: candles(), and what it is made of.

CREATE FUNCTION timeframe_step(timeframe text) RETURNS interval LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    parts text[] := regexp_match(timeframe, '^\s*(\d{0,7})\s*([A-Za-z]*(?:-[A-Za-z]{3})?)\s*$');
    n int := nullif(parts[1], '')::int;
    unit text := parts[2];
    small text := lower(parts[2]);
BEGIN
    IF n IS NULL AND unit <> '' THEN
        n := 1;
    END IF;
    CASE
        WHEN unit IN ('', 'm') OR small IN ('t', 'min', 'mins', 'minute', 'minutes') THEN unit := 'minute';
        WHEN small IN ('h', 'hr', 'hrs', 'hour', 'hours') THEN unit := 'minute'; n := n * 60;
        WHEN small IN ('d', 'day', 'days') THEN unit := 'day';
        WHEN small IN ('w', 'w-mon', 'w-sun', 'week', 'weeks') THEN unit := 'day'; n := n * 7;
        WHEN unit IN ('M', 'MS', 'ME') OR small IN ('mo', 'mon', 'month', 'months') THEN unit := 'month';
        WHEN small IN ('q', 'qs', 'qe', 'quarter', 'quarters') THEN unit := 'month'; n := n * 3;
        WHEN small IN ('y', 'ys', 'ye', 'year', 'years') THEN unit := 'month'; n := n * 12;
        ELSE n := NULL;
    END CASE;
    IF n >= 1 AND n <= (CASE unit WHEN 'minute' THEN 5256000 WHEN 'day' THEN 3650 ELSE 120 END) THEN
        RETURN make_interval(months => CASE unit WHEN 'month' THEN n ELSE 0 END,
            days => CASE unit WHEN 'day' THEN n ELSE 0 END, mins => CASE unit WHEN 'minute' THEN n ELSE 0 END);
    END IF;
    RAISE EXCEPTION 'Unknown timeframe %.', quote_literal(timeframe) USING ERRCODE = 'invalid_parameter_value',
        HINT = 'A number of minutes, or a count with m h D W M Q Y, from one minute to ten years: 7m 4h 1D 1W 3M 1Y.';
END $$;
COMMENT ON FUNCTION timeframe_step IS
    'A timeframe in anybody''s spelling: 60, 1h, 1H, 60min are an hour; 1m a minute, 1M 1mo 1MS a month; 1W 7D a week.';

CREATE FUNCTION local_start(local timestamp, zone text) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN earlier AT TIME ZONE zone = local THEN least(earlier, later) ELSE later END
    FROM (SELECT local AT TIME ZONE zone AS later) AS a
    CROSS JOIN LATERAL (
        SELECT (local - ((later - interval '24 hours') AT TIME ZONE zone - (later - interval '24 hours') AT TIME ZONE 'UTC'))
            AT TIME ZONE 'UTC' AS earlier
    ) AS b
$$;
COMMENT ON FUNCTION local_start IS
    'When a zone''s clocks first show this time; where they skip it, the moment at which they skip.';

CREATE FUNCTION timeframe_bounds(step interval, starts timestamptz, ends timestamptz, zone text, origin timestamptz)
RETURNS timestamptz[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    months int := extract(year FROM step) * 12 + extract(month FROM step);
    n int := CASE WHEN months > 0 THEN months ELSE extract(day FROM step) END;
    first timestamp := coalesce(origin AT TIME ZONE zone,
        CASE WHEN months > 0 THEN timestamp '2000-01-01' ELSE timestamp '2000-01-03' END);
    base timestamp := CASE WHEN months > 0 THEN date_trunc('month', first) ELSE first END;
    shift interval := first - base;
    lowest timestamp := starts AT TIME ZONE zone - shift;
    highest timestamp := ends AT TIME ZONE zone - shift;
    low int;
    high int;
    bounds timestamptz[];
BEGIN
    IF shift > interval '28 days' THEN
        RAISE EXCEPTION 'Months cannot be counted from %.', first USING ERRCODE = 'invalid_parameter_value',
            HINT = 'origin must be on one of the days 1 to 28 of a month.';
    END IF;
    IF months > 0 THEN
        low := floor((extract(year FROM lowest) * 12 + extract(month FROM lowest)
            - extract(year FROM base) * 12 - extract(month FROM base)) / n);
        high := floor((extract(year FROM highest) * 12 + extract(month FROM highest)
            - extract(year FROM base) * 12 - extract(month FROM base)) / n);
    ELSE
        low := floor(extract(epoch FROM lowest - base) / 86400 / n);
        high := floor(extract(epoch FROM highest - base) / 86400 / n);
    END IF;
    -- One more on either side: where clocks are put back, a moment's local time may lie before its bucket's.
    SELECT array_agg(DISTINCT local_start(base + k * step + shift, zone)) INTO bounds
    FROM generate_series(low - 1, high + 2) AS k;
    RETURN ARRAY(
        SELECT bound FROM unnest(bounds) AS bound
        WHERE bound >= (SELECT max(b) FROM unnest(bounds) AS b WHERE b <= starts)
            AND bound <= (SELECT min(b) FROM unnest(bounds) AS b WHERE b >= ends)
        ORDER BY bound
    );
END $$;
COMMENT ON FUNCTION timeframe_bounds IS
    'Where buckets of whole days or months start in a zone, from the last at or before starts to the first at or after ends.';

CREATE FUNCTION timeframe_source(bounds timestamptz[], fixed boolean) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    step record;
    fits boolean;
BEGIN
    FOR step IN SELECT name FROM rollup_chain() WHERE NOT (fixed AND name = '1month') ORDER BY place DESC LOOP
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM unnest($1) AS b WHERE bucket_%s(b) <> b)', step.name)
        INTO fits USING bounds;
        IF fits THEN
            RETURN step.name;
        END IF;
    END LOOP;
    RETURN '1min';
END $$;
COMMENT ON FUNCTION timeframe_source IS
    'The coarsest stored timeframe that has a bound at each of these; fixed: for buckets of one width, two bounds speak for all.';

CREATE FUNCTION known_minutes(symbol_id int) RETURNS tstzmultirange LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT covered FROM coverage AS c WHERE c.symbol_id = $1), '{}') + coalesce((
        SELECT tstzmultirange(tstzrange(oldest.time, newest.time + interval '1 minute'))
        FROM (SELECT c.time FROM candles AS c WHERE c.symbol_id = $1 ORDER BY c.time LIMIT 1) AS oldest,
            (SELECT c.time FROM candles AS c WHERE c.symbol_id = $1 ORDER BY c.time DESC LIMIT 1) AS newest
    ), '{}')
$$;
COMMENT ON FUNCTION known_minutes IS
    'What an exchange has answered for, and all between the first and the last stored minute of a symbol.';

CREATE FUNCTION symbol_candles(symbol_id int, step interval, starts timestamptz, ends timestamptz, newest int,
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
                        (array_agg(m.close ORDER BY m.bucket))[count(*)::int] AS close, sum(m.volume)::float8 AS volume,
                        CASE WHEN count(m.quote_volume) = count(*) THEN sum(m.quote_volume)::float8 END AS quote_volume,
                        CASE WHEN count(m.trades) = count(*) THEN sum(m.trades)::bigint END AS trades
                    FROM exact_%1$s($1, $2, $3) AS m
                    GROUP BY 1
                    ORDER BY 1 DESC LIMIT $4
                ) AS g
            $bars$ END,
            source,
            CASE WHEN fixed THEN 'date_bin($6, m.bucket, $7)' ELSE 'width_bucket(m.bucket, $8)' END,
            CASE WHEN fixed THEN 'g.place' ELSE '$8[g.place]' END,
            CASE WHEN fixed THEN 'g.place + $6' ELSE '$8[g.place + 1]' END
        ) USING symbol_id, since, until, newest, known, step, origin, bounds;
        GET DIAGNOSTICS found = ROW_COUNT;
        newest := newest - found;
        until := since;
        width := width * 16;
    END LOOP;
END $function$;
COMMENT ON FUNCTION symbol_candles IS
    'Bars of a symbol by id whose buckets start in [starts, ends), newest first, the newest so many; NULL means no bound.';

CREATE FUNCTION symbol_named(exchange text, base_id text, quote_id text, market_type text DEFAULT 'spot')
RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE
    id int;
BEGIN
    SELECT s.id INTO id FROM symbol_exchange AS s
    WHERE s.exchange = lower($1) AND s.market_type = $4 AND s.delisted_at IS NULL
        AND ((s.base_id, s.quote_id) = (upper($2), upper($3)) OR (s.native_base, s.native_quote) = (upper($2), upper($3))
            OR (s.base_id, s.quote_id) = ($2, $3) OR (s.native_base, s.native_quote) = ($2, $3))
    ORDER BY (s.base_id, s.quote_id) = ($2, $3) DESC, (s.base_id, s.quote_id) = (upper($2), upper($3)) DESC
    LIMIT 1;
    IF id IS NULL THEN
        RAISE EXCEPTION 'Unknown market: % has no %/% (%).', coalesce(exchange, 'NULL'), coalesce(base_id, 'NULL'),
            coalesce(quote_id, 'NULL'), market_type
            USING ERRCODE = 'no_data_found', HINT = 'SELECT exchange, base_id, quote_id FROM symbol_exchange lists what there is.';
    END IF;
    RETURN id;
END $$;
COMMENT ON FUNCTION symbol_named IS
    'symbol_exchange.id of a market that is not delisted, by its common names or the exchange''s own.';

CREATE FUNCTION candles(exchange text, base_id text, quote_id text, timeframe text,
    starts timestamptz DEFAULT NULL, ends timestamptz DEFAULT NULL, newest int DEFAULT NULL,
    tz text DEFAULT 'UTC', origin timestamptz DEFAULT NULL, market_type text DEFAULT 'spot')
RETURNS TABLE (bucket timestamptz, open float8, high float8, low float8, close float8,
    volume float8, quote_volume float8, trades bigint, partial boolean)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    symbol_id int := symbol_named(exchange, base_id, quote_id, market_type);
BEGIN
    IF newest < 0 THEN
        RAISE EXCEPTION 'newest must not be negative, and is %.', newest USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY SELECT * FROM symbol_candles(
        symbol_id, timeframe_step(coalesce(timeframe, '')), starts, ends, newest, coalesce(tz, 'UTC'), origin) AS c
        ORDER BY c.bucket;
END $$;
COMMENT ON FUNCTION candles IS
    'Bars of any timeframe: SELECT * FROM candles(''binance'', ''BTC'', ''USDT'', ''4h'', ''2024-01-01'', ''2024-02-01'', 100). '
    'Buckets that start in [starts, ends), the newest so many, ascending; tz: days and above in a zone; origin: where '
    'counting begins. partial: not all minutes of the bar are known.';
