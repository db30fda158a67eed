-- Bars as they were known at a moment. docs/adr/0015-what-was-known-when.md.

CREATE FUNCTION arrived_after(symbol_id int, as_of timestamptz) RETURNS tstzmultirange LANGUAGE sql STABLE AS $$
    SELECT coalesce(range_agg(a.span), '{}') FROM candle_arrivals AS a WHERE a.symbol_id = $1 AND a.arrived_at > $2
$$;
COMMENT ON FUNCTION arrived_after IS 'Minutes of a symbol that were first stored later than this.';

CREATE FUNCTION told_minutes(symbol_id int, as_of timestamptz) RETURNS tstzmultirange LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN known = '{}' THEN known
        ELSE tstzmultirange(tstzrange(lower(known), greatest(lower(known), least(upper(known), $2)))) - arrived_after($1, $2) END
    FROM known_minutes($1) AS known
$$;
COMMENT ON FUNCTION told_minutes IS 'Where minutes of a symbol can have been stored by a moment.';

CREATE FUNCTION known_minutes_as_of(symbol_id int, as_of timestamptz) RETURNS tstzmultirange LANGUAGE sql STABLE AS $$
    WITH told AS MATERIALIZED (
        SELECT lower(piece) AS starts, least(upper(piece), $2 - interval '1 minute' + interval '1 microsecond') AS ends
        FROM unnest(told_minutes($1, $2)) AS piece
    )
    SELECT coalesce((SELECT covered FROM coverage AS c WHERE c.symbol_id = $1), '{}') 
        * tstzmultirange(tstzrange(NULL, date_bin('1 minute', $2, '2000-01-03 00:00:00+00')))
        - arrived_after($1, $2) + coalesce((
            SELECT tstzmultirange(tstzrange(oldest.time, newest.time + interval '1 minute'))
            FROM (SELECT c.time FROM told CROSS JOIN LATERAL (SELECT c.time FROM candles AS c
                WHERE c.symbol_id = $1 AND c.time >= starts AND c.time < ends ORDER BY c.time LIMIT 1) AS c
                ORDER BY c.time LIMIT 1) AS oldest,
                (SELECT c.time FROM told CROSS JOIN LATERAL (SELECT c.time FROM candles AS c
                WHERE c.symbol_id = $1 AND c.time >= starts AND c.time < ends ORDER BY c.time DESC LIMIT 1) AS c
                ORDER BY c.time DESC LIMIT 1) AS newest
        ), '{}')
$$;
COMMENT ON FUNCTION known_minutes_as_of IS 'What known_minutes() would have answered at a moment.';

-- Both bounds stand beside the candles' own time, so that only the partitions that they are in are looked at.
CREATE FUNCTION minutes_as_of(symbol_id int, starts timestamptz, ends timestamptz, as_of timestamptz)
RETURNS TABLE (bucket timestamptz, open float8, high float8, low float8, close float8,
    volume float8, quote_volume float8, trades int)
LANGUAGE sql STABLE AS $$
    SELECT c.time, CASE WHEN r.id IS NULL THEN c.open ELSE r.open END, CASE WHEN r.id IS NULL THEN c.high ELSE r.high END,
        CASE WHEN r.id IS NULL THEN c.low ELSE r.low END, CASE WHEN r.id IS NULL THEN c.close ELSE r.close END,
        CASE WHEN r.id IS NULL THEN c.volume ELSE r.volume END,
        CASE WHEN r.id IS NULL THEN c.quote_volume ELSE r.quote_volume END,
        CASE WHEN r.id IS NULL THEN c.trades ELSE r.trades END
    FROM (
        SELECT coalesce(range_agg(a.span), '{}') AS spans FROM candle_arrivals AS a
        WHERE a.symbol_id = $1 AND a.arrived_at > $4 AND a.span && tstzrange($2, greatest($2, $3))
    ) AS later
    CROSS JOIN candles AS c
    LEFT JOIN (
        SELECT DISTINCT ON (v.time) v.* FROM candle_revisions AS v
        WHERE v.symbol_id = $1 AND v.time >= $2 AND v.time < $3 AND v.superseded_at > $4
        ORDER BY v.time, v.id
    ) AS r ON r.time = c.time
    WHERE c.symbol_id = $1 AND c.time >= $2 AND c.time < $3 AND c.time <= $4 - interval '1 minute'
        AND NOT later.spans @> c.time
$$;
COMMENT ON FUNCTION minutes_as_of IS
    'The minutes of a symbol that start in [starts, ends) with the values that were known at a moment: the oldest that were superseded later, or the present ones.';

CREATE FUNCTION timeframe_end(moment timestamptz, step interval, zone text, origin timestamptz)
RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF extract(day FROM step) + extract(month FROM step) + extract(year FROM step) = 0 THEN
        RETURN date_bin(step, moment, coalesce(origin, '2000-01-03 00:00:00+00')) + step;
    END IF;
    IF zone ~ '^[+-]\d\d:\d\d$' THEN  -- as in symbol_candles()
        zone := format('<%s>%s', zone, translate(zone, '+-', '-+'));
    END IF;
    RETURN (timeframe_bounds(step, moment, moment + interval '1 microsecond', zone, origin))[2];
END $$;
COMMENT ON FUNCTION timeframe_end IS 'Where the bucket of symbol_candles() ends that a moment falls in.';

CREATE FUNCTION symbol_candles_as_of(symbol_id int, as_of timestamptz, step interval, starts timestamptz,
    ends timestamptz, newest int, zone text, origin timestamptz)
RETURNS TABLE (bucket timestamptz, open float8, high float8, low float8, close float8,
    volume float8, quote_volume float8, trades bigint, partial boolean)
LANGUAGE plpgsql STABLE SET jit = off AS $function$
DECLARE
    known tstzmultirange := known_minutes_as_of(symbol_id, as_of);
    told tstzmultirange := told_minutes(symbol_id, as_of);
    touched tstzmultirange := arrived_after(symbol_id, as_of) + coalesce((
        SELECT range_agg(tstzrange(r.time, r.time + interval '1 minute')) FROM candle_revisions AS r
        WHERE r.symbol_id = $1 AND r.superseded_at > as_of AND (starts IS NULL OR r.time >= starts)), '{}');
    oldest timestamptz;
    until timestamptz;
BEGIN
    -- Present bars that nothing has touched since are the bars of then; the others are made of minutes.
    ends := least(ends, upper(told));
    LOOP
        -- Straight to the newest bucket of which something was known.
        until := timeframe_end(ends - interval '1 microsecond', step, zone, origin);
        SELECT max(least(upper(piece), ends)) INTO ends FROM unnest(told) AS piece WHERE lower(piece) < until;
        EXIT WHEN ends IS NULL OR ends <= starts OR newest <= 0;
        oldest := NULL;
        FOR bucket, open, high, low, close, volume, quote_volume, trades IN
            SELECT b.bucket, b.open, b.high, b.low, b.close, b.volume, b.quote_volume, b.trades
            FROM symbol_candles(symbol_id, step, starts, ends, newest, zone, origin) AS b
        LOOP
            oldest := bucket;
            until := timeframe_end(bucket, step, zone, origin);
            IF until > as_of OR touched && tstzrange(bucket, until) THEN
                SELECT (array_agg(m.open ORDER BY m.bucket))[1], max(m.high), min(m.low),
                    (array_agg(m.close ORDER BY m.bucket))[count(*)::int],
                    CASE WHEN step = interval '1 minute' THEN max(m.volume) ELSE sum(m.volume::numeric)::float8 END,
                    CASE WHEN count(m.quote_volume) < count(*) THEN NULL
                        WHEN step = interval '1 minute' THEN max(m.quote_volume) ELSE sum(m.quote_volume::numeric)::float8 END,
                    CASE WHEN count(m.trades) = count(*) THEN sum(m.trades)::bigint END
                INTO open, high, low, close, volume, quote_volume, trades
                FROM minutes_as_of(symbol_id, symbol_candles_as_of.bucket, until, as_of) AS m;
                CONTINUE WHEN open IS NULL;
            END IF;
            partial := NOT known @> tstzrange(bucket, until);
            newest := newest - 1;
            RETURN NEXT;
        END LOOP;
        EXIT WHEN oldest IS NULL;
        ends := oldest;
    END LOOP;
END $function$;
COMMENT ON FUNCTION symbol_candles_as_of IS 'symbol_candles() as it would have answered at a moment.';

CREATE FUNCTION candles_as_of(exchange text, base_id text, quote_id text, timeframe text, as_of timestamptz,
    starts timestamptz DEFAULT NULL, ends timestamptz DEFAULT NULL, newest int DEFAULT NULL,
    tz text DEFAULT 'UTC', origin timestamptz DEFAULT NULL, market_type text DEFAULT 'spot')
RETURNS TABLE (bucket timestamptz, open float8, high float8, low float8, close float8,
    volume float8, quote_volume float8, trades bigint, partial boolean)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    symbol_id int := symbol_named(exchange, base_id, quote_id, market_type);
BEGIN
    IF as_of IS NULL THEN
        RAISE EXCEPTION 'as_of says of which moment, and is NULL.' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF newest < 0 THEN
        RAISE EXCEPTION 'newest must not be negative, and is %.', newest USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY SELECT * FROM symbol_candles_as_of(
        symbol_id, as_of, timeframe_step(coalesce(timeframe, '')), starts, ends, newest, coalesce(tz, 'UTC'), origin) AS c
        ORDER BY c.bucket;
END $$;
COMMENT ON FUNCTION candles_as_of IS
    'candles() as it would have answered at a moment: SELECT * FROM candles_as_of(''binance'', ''BTC'', ''USDT'', ''1h'', ''2024-01-02 00:00+00'', newest => 24).';
