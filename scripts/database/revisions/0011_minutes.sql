-- What is known of each minute of each market: exactly one state, told from coverage, candles, leases, failures and outages.

CREATE TABLE exchange_outages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exchange text NOT NULL,
    span tstzrange NOT NULL,
    symbols int[] NOT NULL,
    evidence text NOT NULL,
    found_at timestamptz NOT NULL
);
CREATE INDEX exchange_outages_span_idx ON exchange_outages USING gist (span);
COMMENT ON TABLE exchange_outages IS 'When exchanges served no candles though they traded before and after. Found by the program, and looked at anew as history grows.';
COMMENT ON COLUMN exchange_outages.id IS 'Identity of the row.';
COMMENT ON COLUMN exchange_outages.exchange IS 'As in symbol_exchange.';
COMMENT ON COLUMN exchange_outages.span IS 'From the first minute without candles to the end of the last; may hold single candles towards its end.';
COMMENT ON COLUMN exchange_outages.symbols IS 'symbol_exchange.id of the markets that show it.';
COMMENT ON COLUMN exchange_outages.evidence IS 'Why this is no quiet time.';
COMMENT ON COLUMN exchange_outages.found_at IS 'When it was found, or last looked at.';

CREATE TABLE outages_sought (
    symbol_id int PRIMARY KEY,
    minutes tstzmultirange NOT NULL
);
COMMENT ON TABLE outages_sought IS 'Answered minutes in which outages were looked for already.';
COMMENT ON COLUMN outages_sought.symbol_id IS 'symbol_exchange.id';
COMMENT ON COLUMN outages_sought.minutes IS 'Part of coverage.covered.';

CREATE FUNCTION present_minute() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT date_trunc('minute', greatest(now(), (SELECT now FROM clock_now)))
$$;
COMMENT ON FUNCTION present_minute IS 'Start of the minute under way; by the program''s clock where that runs ahead of the server''s.';

CREATE FUNCTION absent_minutes(market_id int, starts timestamptz, ends timestamptz)
RETURNS tstzmultirange LANGUAGE sql STABLE AS $$
    SELECT coalesce(range_agg(hole), '{}') FROM (
        SELECT tstzrange(bucket + interval '1 minute', following) AS hole
        FROM (
            SELECT b.bucket, lead(b.bucket, 1, ends) OVER (ORDER BY b.bucket) AS following
            FROM bars_1min AS b WHERE b.symbol_id = market_id AND b.bucket >= starts AND b.bucket < ends
        ) AS stored
        WHERE following > bucket + interval '1 minute'
        UNION ALL
        SELECT tstzrange(starts, coalesce((
            SELECT b.bucket FROM bars_1min AS b
            WHERE b.symbol_id = market_id AND b.bucket >= starts AND b.bucket < ends ORDER BY b.bucket LIMIT 1
        ), ends)) WHERE starts < ends
    ) AS holes
$$;
COMMENT ON FUNCTION absent_minutes IS 'The minutes from starts to ends (excluded) of which no candle of a market is stored.';

CREATE FUNCTION minute_regions(market_id int, starts timestamptz, ends timestamptz, at timestamptz)
RETURNS TABLE (state text, reason text, minutes tstzmultirange) LANGUAGE sql STABLE AS $$
    WITH market AS MATERIALIZED (
        SELECT s.exchange, s.symbol, coalesce(c.covered, '{}') AS covered, coalesce(c.wanted, '{}') AS wanted,
            greatest(date_trunc('minute', starts),
                coalesce(date_trunc('minute', s.listed_at), lower(c.covered + c.wanted), at)) AS first,
            date_trunc('minute', least(ends, at, s.delisted_at)) AS last
        FROM symbol_exchange AS s LEFT JOIN coverage AS c ON c.symbol_id = s.id
        WHERE s.id = market_id
    ), layers AS (
        SELECT 1 AS layer, 0 AS age, 0::bigint AS id, 'outage' AS state, NULL::text AS reason,
            covered * coalesce((
                SELECT range_agg(o.span) FROM exchange_outages AS o
                WHERE o.exchange = market.exchange AND o.span && tstzrange(first, greatest(first, last))
            ), '{}') AS minutes
        FROM market
        UNION ALL
        SELECT 2, 0, 0, 'empty', NULL, covered FROM market
        UNION ALL
        SELECT 3, 0, l.id, 'fetching', 'fetch ' || l.job_id || ' asks for it now', tstzmultirange(l.span)
        FROM fetch_leases AS l WHERE l.symbol_id = market_id AND l.expires_at > at
        UNION ALL
        SELECT 4, -extract(epoch FROM e.last_at), e.id, 'failed',
            concat_ws(': ', e.exception_class, nullif(left(e.exception_message, 300), '')),
            tstzmultirange(tstzrange(e.start_date, e.end_date))
        FROM market JOIN ohlcvs_errors AS e ON e.repaired_at IS NULL AND e.end_date > e.start_date AND (
            e.symbol_id = market_id
            OR (e.symbol_id IS NULL AND e.exchange = market.exchange AND e.symbol = market.symbol)
        )
        UNION ALL
        SELECT 5, 0, j.id, 'not_asked', 'planned in fetch ' || j.id, p.remaining
        FROM fetch_job_symbols AS p JOIN fetch_jobs AS j ON j.id = p.job_id AND j.state IN ('queued', 'running')
        WHERE p.symbol_id = market_id
        UNION ALL
        SELECT 6, 0, 0, 'not_asked', 'wanted, but no fetch is at it', wanted FROM market
        UNION ALL
        SELECT 7, 0, 0, 'not_asked', 'nobody wanted it yet',
            tstzmultirange(tstzrange(first, greatest(first, last))) FROM market
    ), told AS (
        SELECT l.state, l.reason, l.minutes * tstzmultirange(tstzrange(m.first, greatest(m.first, m.last)))
            - coalesce(range_agg(l.minutes) OVER (
                ORDER BY l.layer, l.age, l.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ), '{}') AS minutes
        FROM layers AS l CROSS JOIN market AS m
    )
    SELECT t.state, t.reason, range_agg(t.minutes) FROM told AS t WHERE NOT isempty(t.minutes)
    GROUP BY t.state, t.reason
$$;
COMMENT ON FUNCTION minute_regions IS
    'What minute_states is made of: the state that each minute of a market has if no candle of it is stored, and why.';

CREATE FUNCTION minute_states(market_id int, starts timestamptz DEFAULT '-infinity', ends timestamptz DEFAULT 'infinity',
    at timestamptz DEFAULT present_minute())
RETURNS TABLE (span tstzrange, state text, reason text) LANGUAGE sql STABLE AS $$
    WITH regions AS MATERIALIZED (
        SELECT * FROM minute_regions(market_id, starts, ends, at)
    ), whole AS (
        SELECT range_agg(r.minutes) AS minutes FROM regions AS r
    ), absent AS MATERIALIZED (
        SELECT absent_minutes(market_id, lower(w.minutes), upper(w.minutes)) AS minutes
        FROM whole AS w WHERE NOT isempty(w.minutes)
    )
    SELECT piece, r.state, r.reason
    FROM regions AS r CROSS JOIN absent AS a CROSS JOIN LATERAL unnest(r.minutes * a.minutes) AS piece
    UNION ALL
    SELECT piece, 'present', NULL
    FROM whole AS w CROSS JOIN absent AS a CROSS JOIN LATERAL unnest(w.minutes - a.minutes) AS piece
    ORDER BY 1
$$;
COMMENT ON FUNCTION minute_states IS
    'Each minute of a market once, as ascending spans by state, from its listing (or first wanted minute) to now: present, empty, outage, fetching, failed, not_asked.';

CREATE FUNCTION minute_totals(market_id int, starts timestamptz DEFAULT '-infinity', ends timestamptz DEFAULT 'infinity',
    at timestamptz DEFAULT present_minute())
RETURNS TABLE (state text, minutes bigint) LANGUAGE sql STABLE AS $$
    WITH counted AS MATERIALIZED (
        SELECT r.state, extract(epoch FROM upper(span) - lower(span))::bigint / 60 AS minutes, stored.n
        FROM minute_regions(market_id, starts, ends, at) AS r
        CROSS JOIN LATERAL unnest(r.minutes) AS span
        CROSS JOIN LATERAL (
            SELECT count(*) AS n FROM bars_1min AS b
            WHERE b.symbol_id = market_id AND b.bucket >= lower(span) AND b.bucket < upper(span)
        ) AS stored
    )
    SELECT totals.state, totals.minutes FROM (
        SELECT c.state, sum(c.minutes - c.n)::bigint AS minutes FROM counted AS c GROUP BY c.state
        UNION ALL
        SELECT 'present', coalesce(sum(c.n), 0)::bigint FROM counted AS c
    ) AS totals
    WHERE totals.minutes > 0
$$;
COMMENT ON FUNCTION minute_totals IS 'How many minutes of a market are in each state of minute_states.';

CREATE VIEW gaps AS
SELECT s.exchange, s.market_type, s.base_id, s.quote_id, lower(gap) AS starts, upper(gap) AS ends,
    extract(epoch FROM upper(gap) - lower(gap))::bigint / 60 AS minutes, r.state, r.reason
FROM coverage AS c JOIN symbol_exchange AS s ON s.id = c.symbol_id
CROSS JOIN LATERAL minute_regions(s.id, '-infinity', present_minute() - interval '5 minutes', present_minute()) AS r
CROSS JOIN LATERAL unnest(r.minutes * c.wanted) AS gap
WHERE r.state IN ('fetching', 'failed', 'not_asked');
COMMENT ON VIEW gaps IS
    'Minutes that somebody wanted and no exchange has answered for, older than five minutes: those are still settling.';
COMMENT ON COLUMN gaps.exchange IS 'As in symbol_exchange.';
COMMENT ON COLUMN gaps.market_type IS 'As in symbol_exchange.';
COMMENT ON COLUMN gaps.base_id IS 'As in symbol_exchange.';
COMMENT ON COLUMN gaps.quote_id IS 'As in symbol_exchange.';
COMMENT ON COLUMN gaps.starts IS 'First minute.';
COMMENT ON COLUMN gaps.ends IS 'End, excluded.';
COMMENT ON COLUMN gaps.minutes IS 'How many.';
COMMENT ON COLUMN gaps.state IS 'fetching: a worker asks for it now; failed: it was refused; not_asked: nobody has asked for it yet.';
COMMENT ON COLUMN gaps.reason IS 'Which fetch, or what the failure said.';

CREATE VIEW coverage_states AS
SELECT s.exchange, s.market_type, s.base_id, s.quote_id, t.state, t.minutes
FROM symbol_exchange AS s CROSS JOIN LATERAL minute_totals(s.id) AS t;
COMMENT ON VIEW coverage_states IS
    'How many minutes of each market are in each state of minute_states(). Counts candles: name a market, or take your time.';
COMMENT ON COLUMN coverage_states.exchange IS 'As in symbol_exchange.';
COMMENT ON COLUMN coverage_states.market_type IS 'As in symbol_exchange.';
COMMENT ON COLUMN coverage_states.base_id IS 'As in symbol_exchange.';
COMMENT ON COLUMN coverage_states.quote_id IS 'As in symbol_exchange.';
COMMENT ON COLUMN coverage_states.state IS 'present, empty (answered, no trades), outage, fetching, failed, not_asked.';
COMMENT ON COLUMN coverage_states.minutes IS 'How many.';
