-- Generated from scripts/database/revisions; a test compares. To write it again:
--   python -c "from app.migrate import create_sql; print(create_sql(), end='')" > scripts/database/init/create.sql
BEGIN;

-- 0001_tables.sql
-- Symbols, candles, coverage, the ledger of changed minutes, the plan of history work.

CREATE TABLE symbol_exchange (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exchange text NOT NULL,
    market_type text NOT NULL DEFAULT 'spot',
    base_id text NOT NULL,
    quote_id text NOT NULL,
    symbol text NOT NULL,
    native_base text NOT NULL DEFAULT '',
    native_quote text NOT NULL DEFAULT '',
    is_trading boolean NOT NULL DEFAULT true,
    tick_size double precision,
    price_decimals smallint,
    amount_decimals smallint,
    listed_at timestamptz,
    delisted_at timestamptz,
    successor_of int REFERENCES symbol_exchange (id),
    first_seen timestamptz,
    last_seen timestamptz
);
CREATE UNIQUE INDEX symbol_exchange_listed_idx ON symbol_exchange (exchange, market_type, base_id, quote_id)
    WHERE delisted_at IS NULL;
CREATE INDEX symbol_exchange_names_idx ON symbol_exchange (exchange, base_id, quote_id);
CREATE INDEX symbol_exchange_native_idx ON symbol_exchange (exchange, native_base, native_quote);

COMMENT ON TABLE symbol_exchange IS 'One market of one exchange. Unique by name among those not delisted.';
COMMENT ON COLUMN symbol_exchange.id IS 'What candles and bars refer to.';
COMMENT ON COLUMN symbol_exchange.exchange IS 'Lower-case name: binance, bitfinex, bittrex.';
COMMENT ON COLUMN symbol_exchange.market_type IS 'spot unless said otherwise.';
COMMENT ON COLUMN symbol_exchange.base_id IS 'What is bought and sold, under its common name.';
COMMENT ON COLUMN symbol_exchange.quote_id IS 'What prices are counted in, under its common name.';
COMMENT ON COLUMN symbol_exchange.symbol IS 'The exchange''s own name of the market.';
COMMENT ON COLUMN symbol_exchange.native_base IS 'The exchange''s own code of the base currency; empty where not known.';
COMMENT ON COLUMN symbol_exchange.native_quote IS 'The exchange''s own code of the quote currency; empty where not known.';
COMMENT ON COLUMN symbol_exchange.is_trading IS 'The exchange listed it as trading when last asked.';
COMMENT ON COLUMN symbol_exchange.tick_size IS 'The smallest price step in quote currency; NULL where the exchange states none.';
COMMENT ON COLUMN symbol_exchange.price_decimals IS 'Decimals of a price; NULL where not known.';
COMMENT ON COLUMN symbol_exchange.amount_decimals IS 'Decimals of an amount; NULL where not known.';
COMMENT ON COLUMN symbol_exchange.listed_at IS 'When trading began, where known.';
COMMENT ON COLUMN symbol_exchange.delisted_at IS 'When the market was closed for good; its names may then be used again.';
COMMENT ON COLUMN symbol_exchange.successor_of IS 'The delisted market that this one continues.';
COMMENT ON COLUMN symbol_exchange.first_seen IS 'When the exchange first listed it to us.';
COMMENT ON COLUMN symbol_exchange.last_seen IS 'When the exchange last listed it to us.';

-- No foreign key to symbol_exchange: it would cost a quarter of the write speed, and ids come from that table anyway.
CREATE TABLE candles (
    symbol_id int NOT NULL,
    time timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    quote_volume double precision,
    trades int,
    source smallint NOT NULL,
    PRIMARY KEY (symbol_id, time)
) PARTITION BY RANGE (time);

COMMENT ON TABLE candles IS 'One-minute candles, one row for each minute of each symbol. Partitioned by year.';
COMMENT ON COLUMN candles.symbol_id IS 'symbol_exchange.id';
COMMENT ON COLUMN candles.time IS 'Start of the minute.';
COMMENT ON COLUMN candles.open IS 'First price, in quote currency, never rounded; cast to numeric for decimal arithmetic.';
COMMENT ON COLUMN candles.high IS 'Highest price.';
COMMENT ON COLUMN candles.low IS 'Lowest price.';
COMMENT ON COLUMN candles.close IS 'Last price.';
COMMENT ON COLUMN candles.volume IS 'Amount traded, in base currency.';
COMMENT ON COLUMN candles.quote_volume IS 'Amount traded, in quote currency; NULL where the exchange does not say.';
COMMENT ON COLUMN candles.trades IS 'Number of trades; NULL where the exchange does not say.';
COMMENT ON COLUMN candles.source IS '1 closed by time, 2 the exchange''s closing message, 3 REST, archive or import.';

-- Minutes outside every year, which no exchange should send, end here instead of stopping a batch.
CREATE TABLE candles_other PARTITION OF candles DEFAULT;
COMMENT ON TABLE candles_other IS 'Minutes for which no yearly partition exists. Should be empty.';

CREATE FUNCTION ensure_partitions(last_year int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    year int;
BEGIN
    FOR year IN 2009 .. last_year LOOP
        CONTINUE WHEN to_regclass('candles_' || year) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I PARTITION OF candles FOR VALUES FROM (%L) TO (%L)',
            'candles_' || year, year || '-01-01 00:00:00+00', year + 1 || '-01-01 00:00:00+00');
        EXECUTE format('COMMENT ON TABLE %I IS %L', 'candles_' || year, 'Candles of ' || year || ' (UTC).');
    END LOOP;
END $$;
COMMENT ON FUNCTION ensure_partitions IS 'Creates the yearly partitions of candles from 2009 to last_year that do not exist yet.';
SELECT ensure_partitions(2030);

CREATE TABLE coverage (
    symbol_id int PRIMARY KEY,
    covered tstzmultirange NOT NULL DEFAULT '{}',
    wanted tstzmultirange NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
COMMENT ON TABLE coverage IS 'What was asked and what was answered. wanted - covered is the only definition of a gap.';
COMMENT ON COLUMN coverage.symbol_id IS 'symbol_exchange.id';
COMMENT ON COLUMN coverage.covered IS 'Minutes that the exchange has answered for, with rows or without.';
COMMENT ON COLUMN coverage.wanted IS 'Minutes that somebody asked for.';

-- No primary key: nobody looks a row up by its id, and every write pays for an index.
CREATE TABLE rollup_dirty (
    id bigint GENERATED ALWAYS AS IDENTITY,
    symbol_id int NOT NULL,
    span tstzrange NOT NULL
);
CREATE INDEX rollup_dirty_symbol_idx ON rollup_dirty (symbol_id);
COMMENT ON TABLE rollup_dirty IS 'Ledger of changed minutes that the stored bars do not show yet. Written with the candles, emptied by a refresh.';
COMMENT ON COLUMN rollup_dirty.id IS 'Order of arrival.';
COMMENT ON COLUMN rollup_dirty.symbol_id IS 'symbol_exchange.id';
COMMENT ON COLUMN rollup_dirty.span IS 'From the first changed minute to the end of the last.';

CREATE TABLE ohlcvs_errors (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exchange text NOT NULL,
    symbol text NOT NULL,
    start_date timestamptz NOT NULL,
    end_date timestamptz NOT NULL,
    time_frame text NOT NULL DEFAULT '1m',
    ohlcv_section text,
    resp_status_code smallint,
    exception_class text NOT NULL,
    exception_message text,
    symbol_id int,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 1,
    repaired_at timestamptz,
    UNIQUE (exception_class, exchange, symbol, start_date, end_date, time_frame)
);
CREATE INDEX ohlcvs_errors_open_idx ON ohlcvs_errors (symbol_id) WHERE repaired_at IS NULL;
COMMENT ON TABLE ohlcvs_errors IS 'Every failed fetch of history, and whether its minutes were answered since.';
COMMENT ON COLUMN ohlcvs_errors.id IS 'Identity of the row.';
COMMENT ON COLUMN ohlcvs_errors.exchange IS 'As in symbol_exchange.';
COMMENT ON COLUMN ohlcvs_errors.symbol IS 'The exchange''s own name of the market.';
COMMENT ON COLUMN ohlcvs_errors.start_date IS 'First minute that was asked for.';
COMMENT ON COLUMN ohlcvs_errors.end_date IS 'End of what was asked for, excluded.';
COMMENT ON COLUMN ohlcvs_errors.time_frame IS 'Always 1m.';
COMMENT ON COLUMN ohlcvs_errors.ohlcv_section IS 'Part of the exchange''s API, where it has parts.';
COMMENT ON COLUMN ohlcvs_errors.resp_status_code IS 'HTTP status; NULL where there was no answer.';
COMMENT ON COLUMN ohlcvs_errors.exception_class IS 'Kind of failure.';
COMMENT ON COLUMN ohlcvs_errors.exception_message IS 'What the failure said, in full.';
COMMENT ON COLUMN ohlcvs_errors.symbol_id IS 'symbol_exchange.id; NULL where it was not known.';
COMMENT ON COLUMN ohlcvs_errors.first_at IS 'When it happened first.';
COMMENT ON COLUMN ohlcvs_errors.last_at IS 'When it happened last.';
COMMENT ON COLUMN ohlcvs_errors.attempts IS 'How often it happened.';
COMMENT ON COLUMN ohlcvs_errors.repaired_at IS 'When all its minutes had been answered; NULL while they have not.';


-- 0002_plan.sql
-- The plan of history work, leased page by page, and the predecessor's table for tests.

CREATE TABLE fetch_jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exchange text NOT NULL,
    span tstzrange NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'cancelled', 'failed')),
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    rows_written bigint NOT NULL DEFAULT 0,
    requests int NOT NULL DEFAULT 0,
    errors int NOT NULL DEFAULT 0,
    minutes_total bigint NOT NULL DEFAULT 0,
    note text NOT NULL DEFAULT ''
);
COMMENT ON TABLE fetch_jobs IS 'One request for history.';
COMMENT ON COLUMN fetch_jobs.id IS 'What queue messages carry.';
COMMENT ON COLUMN fetch_jobs.exchange IS 'As in symbol_exchange.';
COMMENT ON COLUMN fetch_jobs.span IS 'What was asked for, end excluded.';
COMMENT ON COLUMN fetch_jobs.state IS 'queued, running, done, cancelled, or failed: over, but some pages were refused.';
COMMENT ON COLUMN fetch_jobs.created_at IS 'When it was asked for.';
COMMENT ON COLUMN fetch_jobs.finished_at IS 'When nothing was left to do.';
COMMENT ON COLUMN fetch_jobs.rows_written IS 'Candles that were new or changed.';
COMMENT ON COLUMN fetch_jobs.requests IS 'Pages answered or refused.';
COMMENT ON COLUMN fetch_jobs.errors IS 'Pages refused; ohlcvs_errors says why.';
COMMENT ON COLUMN fetch_jobs.minutes_total IS 'Minutes of all symbols that were not covered when the job was made.';
COMMENT ON COLUMN fetch_jobs.note IS 'For people.';

CREATE TABLE fetch_job_symbols (
    job_id bigint NOT NULL REFERENCES fetch_jobs (id) ON DELETE CASCADE,
    symbol_id int NOT NULL,
    remaining tstzmultirange NOT NULL,
    PRIMARY KEY (job_id, symbol_id)
);
CREATE INDEX fetch_job_symbols_newest_idx ON fetch_job_symbols (job_id, upper(remaining) DESC);
COMMENT ON TABLE fetch_job_symbols IS 'What of a job nobody has leased yet. A symbol without a row has nothing left.';
COMMENT ON COLUMN fetch_job_symbols.job_id IS 'fetch_jobs.id';
COMMENT ON COLUMN fetch_job_symbols.symbol_id IS 'symbol_exchange.id';
COMMENT ON COLUMN fetch_job_symbols.remaining IS 'Minutes still to lease.';

CREATE TABLE fetch_leases (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES fetch_jobs (id) ON DELETE CASCADE,
    symbol_id int NOT NULL,
    span tstzrange NOT NULL,
    expires_at timestamptz NOT NULL,
    worker text NOT NULL
);
CREATE INDEX fetch_leases_symbol_idx ON fetch_leases (symbol_id);
CREATE INDEX fetch_leases_job_idx ON fetch_leases (job_id);
COMMENT ON TABLE fetch_leases IS 'Pages that a worker is asking for now. One that expires goes back to its job.';
COMMENT ON COLUMN fetch_leases.id IS 'Identity of the lease.';
COMMENT ON COLUMN fetch_leases.job_id IS 'fetch_jobs.id';
COMMENT ON COLUMN fetch_leases.symbol_id IS 'symbol_exchange.id';
COMMENT ON COLUMN fetch_leases.span IS 'The page''s minutes.';
COMMENT ON COLUMN fetch_leases.expires_at IS 'By the program''s clock, not the server''s.';
COMMENT ON COLUMN fetch_leases.worker IS 'Who holds it.';

CREATE TABLE test (
    id numeric NOT NULL,
    b varchar(20) NOT NULL,
    q varchar(20) NOT NULL,
    o numeric,
    c numeric,
    PRIMARY KEY (id, b, q)
);
COMMENT ON TABLE test IS 'For tests and /api/test only.';
COMMENT ON COLUMN test.id IS 'Any number.';
COMMENT ON COLUMN test.b IS 'Any text.';
COMMENT ON COLUMN test.q IS 'Any text.';
COMMENT ON COLUMN test.o IS 'Any number.';
COMMENT ON COLUMN test.c IS 'Any number.';


-- 0003_rollups.sql
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


-- 0004_refresh.sql
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


-- 0005_analytics.sql
-- Analytics: materialized, populated from the first moment, refreshed by the program with its own clock.

CREATE TABLE clock_now (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    now timestamptz NOT NULL
);
INSERT INTO clock_now (now) VALUES ('2000-01-03 00:00:00+00');
COMMENT ON TABLE clock_now IS 'One row: the program''s time at the last refresh of the analytics. They never ask the server''s clock.';
COMMENT ON COLUMN clock_now.single IS 'Keeps it one row.';
COMMENT ON COLUMN clock_now.now IS 'What the analytics take for now.';

CREATE TABLE usd_like (quote_id text PRIMARY KEY);
INSERT INTO usd_like VALUES ('USD'), ('USDT'), ('USDC'), ('BUSD'), ('TUSD'), ('FDUSD'), ('DAI'), ('USDP'), ('PAX'),
    ('GUSD'), ('PYUSD'), ('USDS'), ('USD1');
COMMENT ON TABLE usd_like IS 'Currencies counted as one US dollar. Edit it freely; the next refresh obeys.';
COMMENT ON COLUMN usd_like.quote_id IS 'As in symbol_exchange.';

CREATE VIEW spot_listed AS
SELECT id, exchange, base_id, quote_id, is_trading FROM symbol_exchange WHERE market_type = 'spot' AND delisted_at IS NULL;
COMMENT ON VIEW spot_listed IS 'Spot markets that are not delisted: one row for each (exchange, base_id, quote_id).';

CREATE MATERIALIZED VIEW common_basequote_30 AS
SELECT base_id, quote_id FROM spot_listed WHERE is_trading
GROUP BY base_id, quote_id HAVING count(DISTINCT exchange) >= 2
ORDER BY base_id, quote_id LIMIT 30;
CREATE UNIQUE INDEX common_basequote_30_idx ON common_basequote_30 (base_id, quote_id);
COMMENT ON MATERIALIZED VIEW common_basequote_30 IS 'Pairs that trade on at least two exchanges, alphabetical, the first 30.';
COMMENT ON COLUMN common_basequote_30.base_id IS 'As in symbol_exchange.';
COMMENT ON COLUMN common_basequote_30.quote_id IS 'As in symbol_exchange.';

CREATE MATERIALIZED VIEW weekly_return AS
WITH week AS (
    SELECT date_trunc('minute', now) - interval '168 hours' AS starts, date_trunc('minute', now) AS ends FROM clock_now
)
SELECT week.starts AS time, s.exchange, s.base_id, s.quote_id,
    round(((newest.close - oldest.open) / oldest.open * 100)::numeric, 4) AS weekly_return_pct
FROM spot_listed AS s CROSS JOIN week
CROSS JOIN LATERAL (
    SELECT c.open FROM candles AS c
    WHERE c.symbol_id = s.id AND c.time >= week.starts AND c.time < week.ends ORDER BY c.time LIMIT 1
) AS oldest
CROSS JOIN LATERAL (
    SELECT c.close FROM candles AS c
    WHERE c.symbol_id = s.id AND c.time >= week.starts AND c.time < week.ends ORDER BY c.time DESC LIMIT 1
) AS newest
WHERE oldest.open <> 0
ORDER BY weekly_return_pct DESC;
CREATE UNIQUE INDEX wr_idx ON weekly_return (exchange, base_id, quote_id, time);
COMMENT ON MATERIALIZED VIEW weekly_return IS 'Change over the trailing seven days: first open to last close.';
COMMENT ON COLUMN weekly_return.time IS 'Where the seven days begin.';
COMMENT ON COLUMN weekly_return.weekly_return_pct IS 'Percent.';

CREATE MATERIALIZED VIEW geo_daily_return AS
WITH week AS (
    SELECT bucket_daily(now) - interval '168 hours' AS starts, bucket_daily(now) AS ends FROM clock_now
), grown AS (
    SELECT s.exchange, s.base_id, s.quote_id, newest.close AS ended,
        coalesce(prior.close, oldest.open) AS began,
        CASE WHEN prior.close IS NULL THEN extract(epoch FROM week.ends - oldest.bucket) / 86400 ELSE 7 END AS days
    FROM spot_listed AS s CROSS JOIN week
    CROSS JOIN LATERAL (
        SELECT d.close FROM exact_daily(s.id, week.starts, week.ends) AS d ORDER BY d.bucket DESC LIMIT 1
    ) AS newest
    CROSS JOIN LATERAL (
        SELECT d.bucket, d.open FROM exact_daily(s.id, week.starts, week.ends) AS d ORDER BY d.bucket LIMIT 1
    ) AS oldest
    LEFT JOIN LATERAL (
        SELECT d.close FROM exact_daily(s.id, week.starts - interval '720 hours', week.starts) AS d
        ORDER BY d.bucket DESC LIMIT 1
    ) AS prior ON true
)
SELECT exchange, base_id, quote_id,
    round(((power(ended / began, 1 / days::float8) - 1) * 100)::numeric, 4) AS daily_return_pct
FROM grown WHERE began > 0 AND ended > 0
ORDER BY daily_return_pct DESC;
CREATE UNIQUE INDEX geo_dr_idx ON geo_daily_return (exchange, base_id, quote_id);
COMMENT ON MATERIALIZED VIEW geo_daily_return IS
    'Geometric mean of the daily returns of the last seven complete UTC days. A day without trades carries the close before it (at most 30 days back); a market that began within the week counts from its first open.';
COMMENT ON COLUMN geo_daily_return.daily_return_pct IS 'Percent a day.';

CREATE VIEW traded_last_week AS
SELECT s.exchange, s.base_id, s.quote_id, sum(h.volume) AS volume,
    sum(coalesce(h.quote_volume, h.volume * h.close::numeric)) AS quote_volume
FROM spot_listed AS s CROSS JOIN clock_now AS clock
CROSS JOIN LATERAL exact_1hour(s.id, bucket_1hour(clock.now) - interval '168 hours', bucket_1hour_end(clock.now)) AS h
GROUP BY s.exchange, s.base_id, s.quote_id;
COMMENT ON VIEW traded_last_week IS 'What was traded in the last 168 complete hours and the running one.';
COMMENT ON COLUMN traded_last_week.volume IS 'In base currency.';
COMMENT ON COLUMN traded_last_week.quote_volume IS
    'In quote currency: as the exchange tells it, else each hour''s volume times its close.';

CREATE VIEW usd_rate AS
SELECT DISTINCT ON (currency) currency, usd FROM (
    SELECT quote_id AS currency, 1::numeric AS usd, 1 AS preference FROM usd_like
    UNION ALL
    SELECT base_id, sum(quote_volume) / sum(volume), 2 FROM traded_last_week
    WHERE quote_id IN (SELECT quote_id FROM usd_like) GROUP BY base_id HAVING sum(volume) > 0
    UNION ALL
    SELECT quote_id, sum(volume) / sum(quote_volume), 3 FROM traded_last_week
    WHERE base_id IN (SELECT quote_id FROM usd_like) GROUP BY quote_id HAVING sum(quote_volume) > 0
) AS rates ORDER BY currency, preference;
COMMENT ON VIEW usd_rate IS
    'US dollars for one unit of a currency: the week''s volume-weighted price against the currencies of usd_like, over all exchanges.';
COMMENT ON COLUMN usd_rate.currency IS 'As in symbol_exchange.';
COMMENT ON COLUMN usd_rate.usd IS 'Dollars.';

CREATE MATERIALIZED VIEW top_20_quoted_vol AS
WITH valued AS (
    SELECT t.base_id || '-' || t.quote_id AS pair, sum(t.quote_volume * r.usd) AS usd
    FROM traded_last_week AS t JOIN usd_rate AS r ON r.currency = t.quote_id
    GROUP BY pair
), ranked AS (
    SELECT pair, usd, row_number() OVER (ORDER BY usd DESC, pair) AS place FROM valued WHERE usd > 0
)
SELECT CASE WHEN place <= 20 THEN pair ELSE 'Other' END AS bqgrp, round(sum(usd), 4) AS total_volume
FROM ranked GROUP BY bqgrp ORDER BY total_volume DESC;
CREATE UNIQUE INDEX top_20_qvlm_idx ON top_20_quoted_vol (bqgrp);
COMMENT ON MATERIALIZED VIEW top_20_quoted_vol IS
    'Pairs by what was traded last week over all exchanges, in US dollars: twenty by name, the rest as Other. Pairs whose quote currency has no usd_rate stand in top_quoted_vol_by_quote alone.';
COMMENT ON COLUMN top_20_quoted_vol.bqgrp IS 'BASE-QUOTE, or Other.';
COMMENT ON COLUMN top_20_quoted_vol.total_volume IS 'US dollars.';

CREATE MATERIALIZED VIEW top_quoted_vol_by_quote AS
WITH ranked AS (
    SELECT quote_id, base_id || '-' || quote_id AS pair, sum(quote_volume) AS quoted,
        row_number() OVER (PARTITION BY quote_id ORDER BY sum(quote_volume) DESC, base_id) AS place
    FROM traded_last_week WHERE quote_volume > 0 GROUP BY quote_id, base_id
)
SELECT quote_id, CASE WHEN place <= 20 THEN pair ELSE 'Other' END AS bqgrp, round(sum(quoted), 4) AS total_volume
FROM ranked GROUP BY quote_id, bqgrp ORDER BY quote_id, total_volume DESC;
CREATE UNIQUE INDEX top_quoted_vol_by_quote_idx ON top_quoted_vol_by_quote (quote_id, bqgrp);
COMMENT ON MATERIALIZED VIEW top_quoted_vol_by_quote IS
    'The same for each quote currency in itself: twenty pairs by name, the rest as Other.';
COMMENT ON COLUMN top_quoted_vol_by_quote.quote_id IS 'What total_volume is counted in.';
COMMENT ON COLUMN top_quoted_vol_by_quote.bqgrp IS 'BASE-QUOTE, or Other.';
COMMENT ON COLUMN top_quoted_vol_by_quote.total_volume IS 'In quote_id.';


-- 0006_market.sql
-- What kind of market the candles are of, so that simulated ones never mix with real ones.

CREATE TABLE market_kind (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    kind text NOT NULL CHECK (kind IN ('real', 'simulated'))
);
COMMENT ON TABLE market_kind IS 'At most one row, written by the first start: whether this database holds real or simulated candles.';
COMMENT ON COLUMN market_kind.single IS 'Keeps it one row.';
COMMENT ON COLUMN market_kind.kind IS 'real or simulated; a start with the other MARKET is refused.';


-- 0007_jit.sql
-- Plans here span every yearly partition of eleven timeframes: compiling one takes seconds, running it milliseconds
-- (measured: 17 s against 11 ms for three hourly bars). The program's own sessions never compile; this is for psql and
-- whatever else people connect with. Only a database's owner may set it; elsewhere it is the administrator's to do.
DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET jit = off', current_database());
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'Only the owner of % can set jit = off for all; without it queries by hand may take seconds.',
        current_database();
END $$;


-- 0008_tiers.sql
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


-- 0009_timeframes.sql
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


-- 0010_insert.sql
-- INSERT INTO ohlcvs, for hands: one row at a time, by the rule of candles_correct.sql with source 3, the record.

CREATE FUNCTION ohlcvs_before_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_stat_progress_copy WHERE pid = pg_backend_pid() AND relid = TG_RELID) THEN
        RAISE EXCEPTION 'COPY into ohlcvs is not possible.' USING ERRCODE = 'feature_not_supported',
            HINT = 'COPY into a table of your own, then INSERT INTO ohlcvs SELECT from it.';
    END IF;
    IF to_regclass('pg_temp.inserted_ohlcvs') IS NULL THEN
        CREATE TEMP TABLE inserted_ohlcvs (symbol_id int, time timestamptz, changed boolean) ON COMMIT DELETE ROWS;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ohlcvs_before_insert IS 'Refuses COPY into ohlcvs, and makes the list of minutes of an INSERT.';

CREATE FUNCTION ohlcvs_insert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    id int := symbol_named(NEW.exchange, NEW.base_id, NEW.quote_id);
BEGIN
    IF num_nulls(NEW.time, NEW.open, NEW.high, NEW.low, NEW.close, NEW.volume) > 0 THEN
        RAISE EXCEPTION 'A candle needs time, open, high, low, close and volume.' USING ERRCODE = 'not_null_violation';
    END IF;
    IF NEW.time <> date_bin('1 minute', NEW.time, '2000-01-03 00:00:00+00') THEN
        RAISE EXCEPTION 'A candle starts with its minute, and % does not.', NEW.time
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF ARRAY[NEW.open, NEW.high, NEW.low, NEW.close, NEW.volume] && '{NaN,Infinity,-Infinity}' THEN
        RAISE EXCEPTION 'Prices and volume must be numbers.' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(7310002, id % 64);
    INSERT INTO candles AS c (symbol_id, time, open, high, low, close, volume, source)
    VALUES (id, NEW.time, NEW.open, NEW.high, NEW.low, NEW.close, NEW.volume, 3)
    ON CONFLICT (symbol_id, time) DO UPDATE
    SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,
        source = 3, quote_volume = CASE WHEN (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
            = (c.open, c.high, c.low, c.close, c.volume) THEN c.quote_volume END,
        trades = CASE WHEN (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
            = (c.open, c.high, c.low, c.close, c.volume) THEN c.trades END
    WHERE c.source < 3 OR (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
        <> (c.open, c.high, c.low, c.close, c.volume);
    INSERT INTO pg_temp.inserted_ohlcvs VALUES (id, NEW.time, FOUND);
    RETURN NEW;
END $$;
COMMENT ON FUNCTION ohlcvs_insert IS
    'Writes a row of INSERT INTO ohlcvs to candles as the record. Other values make its quote_volume and trades unknown.';

CREATE FUNCTION ohlcvs_after_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rollup_dirty (symbol_id, span)
    SELECT symbol_id, tstzrange(min(time), max(time) + interval '1 minute')
    FROM pg_temp.inserted_ohlcvs WHERE changed GROUP BY symbol_id, bucket_7day(time);
    INSERT INTO coverage AS c (symbol_id, covered)
    SELECT symbol_id, range_agg(tstzrange(time, time + interval '1 minute'))
    FROM pg_temp.inserted_ohlcvs GROUP BY symbol_id ORDER BY symbol_id
    ON CONFLICT (symbol_id) DO UPDATE SET covered = c.covered + excluded.covered WHERE NOT c.covered @> excluded.covered;
    DELETE FROM pg_temp.inserted_ohlcvs;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ohlcvs_after_insert IS 'Notes the minutes of an INSERT INTO ohlcvs in rollup_dirty and coverage.';

CREATE TRIGGER ohlcvs_before_insert BEFORE INSERT ON ohlcvs FOR EACH STATEMENT EXECUTE FUNCTION ohlcvs_before_insert();
CREATE TRIGGER ohlcvs_insert INSTEAD OF INSERT ON ohlcvs FOR EACH ROW EXECUTE FUNCTION ohlcvs_insert();
CREATE TRIGGER ohlcvs_after_insert AFTER INSERT ON ohlcvs FOR EACH STATEMENT EXECUTE FUNCTION ohlcvs_after_insert();
COMMENT ON VIEW ohlcvs IS
    'One-minute candles of spot markets by name. Double precision; cast to numeric to round. INSERT stores a candle by hand.';

-- \d+ of a view says of each column what its table says of it.
DO $do$
DECLARE
    col record;
BEGIN
    FOR col IN
        SELECT a.attrelid::regclass AS view, a.attname AS name, coalesce(
            (SELECT col_description('symbol_exchange'::regclass, t.attnum) FROM pg_attribute AS t
                WHERE t.attrelid = 'symbol_exchange'::regclass AND t.attname = a.attname AND t.attname <> 'id'),
            (SELECT col_description('stored_5min'::regclass, t.attnum) FROM pg_attribute AS t
                WHERE t.attrelid = 'stored_5min'::regclass AND t.attname = a.attname),
            CASE a.attname WHEN 'id' THEN 'What candles and bars refer to.' END) AS said
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('v', 'm') AND a.attnum > 0
            AND col_description(a.attrelid, a.attnum) IS NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', col.view, col.name, col.said);
    END LOOP;
END $do$;
COMMENT ON TRIGGER candles_deleted ON candles IS 'Deleted minutes change bars as well.';
COMMENT ON TRIGGER ohlcvs_before_insert ON ohlcvs IS 'Refuses COPY.';
COMMENT ON TRIGGER ohlcvs_insert ON ohlcvs IS 'Stores a candle.';
COMMENT ON TRIGGER ohlcvs_after_insert ON ohlcvs IS 'Notes what was inserted in rollup_dirty and coverage.';


-- 0011_minutes.sql
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


-- 0012_imports.sql
-- Which archives were imported, so that a file whose checksum is known is not brought again.

CREATE TABLE imported_archives (
    symbol_id int NOT NULL,
    file text NOT NULL,
    checksum text NOT NULL,
    covered tstzrange NOT NULL,
    rows int NOT NULL,
    imported_at timestamptz NOT NULL,
    PRIMARY KEY (symbol_id, file)
);
COMMENT ON TABLE imported_archives IS
    'Archives of an exchange that were imported whole. One issued again has another checksum, and is imported again.';
COMMENT ON COLUMN imported_archives.symbol_id IS 'symbol_exchange.id';
COMMENT ON COLUMN imported_archives.file IS 'Its name at the exchange.';
COMMENT ON COLUMN imported_archives.checksum IS 'sha256 of the file.';
COMMENT ON COLUMN imported_archives.covered IS 'The minutes that it answered for, from its first candle to its last.';
COMMENT ON COLUMN imported_archives.rows IS 'Candles in it.';
COMMENT ON COLUMN imported_archives.imported_at IS 'When it was imported last.';

COMMENT ON COLUMN candles.source IS
    '1 closed by time, or imported from elsewhere; 2 the exchange''s closing message; 3 its REST or its archive.';


-- 0013_revisions.sql
-- Old values of corrected minutes, and minutes that came late. docs/adr/0015-what-was-known-when.md.

-- Column order keeps a row small. No primary key: rows are found by minute, and their order is that of id.
CREATE TABLE candle_revisions (
    id bigint GENERATED ALWAYS AS IDENTITY,
    time timestamptz NOT NULL,
    superseded_at timestamptz NOT NULL,
    open double precision NOT NULL,
    high double precision NOT NULL,
    low double precision NOT NULL,
    close double precision NOT NULL,
    volume double precision NOT NULL,
    quote_volume double precision,
    symbol_id int NOT NULL,
    trades int,
    source smallint NOT NULL
);
CREATE INDEX candle_revisions_minute_idx ON candle_revisions (symbol_id, time);
COMMENT ON TABLE candle_revisions IS
    'Values that stored minutes had before a correction. What stands now is in candles. By name: ohlcvs_revisions.';
COMMENT ON COLUMN candle_revisions.id IS 'Order of the corrections.';
COMMENT ON COLUMN candle_revisions.time IS 'Start of the minute.';
COMMENT ON COLUMN candle_revisions.superseded_at IS 'When other values took the place of these, by the program''s clock.';
COMMENT ON COLUMN candle_revisions.open IS 'First price, as it was known.';
COMMENT ON COLUMN candle_revisions.high IS 'Highest price, as it was known.';
COMMENT ON COLUMN candle_revisions.low IS 'Lowest price, as it was known.';
COMMENT ON COLUMN candle_revisions.close IS 'Last price, as it was known.';
COMMENT ON COLUMN candle_revisions.volume IS 'Amount traded in base currency, as it was known.';
COMMENT ON COLUMN candle_revisions.quote_volume IS 'Amount traded in quote currency; NULL where the exchange did not say.';
COMMENT ON COLUMN candle_revisions.symbol_id IS 'symbol_exchange.id';
COMMENT ON COLUMN candle_revisions.trades IS 'Number of trades; NULL where the exchange did not say.';
COMMENT ON COLUMN candle_revisions.source IS 'Who had told it: 1 closed by time, 2 the exchange''s closing message, 3 REST, archive or import.';

CREATE TABLE candle_arrivals (
    symbol_id int NOT NULL,
    arrived_at timestamptz NOT NULL,
    span tstzrange NOT NULL
);
CREATE INDEX candle_arrivals_symbol_idx ON candle_arrivals (symbol_id, arrived_at);
COMMENT ON TABLE candle_arrivals IS
    'Minutes first stored more than two minutes after their end, a row for each write. All others count as known from their end on.';
COMMENT ON COLUMN candle_arrivals.symbol_id IS 'symbol_exchange.id';
COMMENT ON COLUMN candle_arrivals.arrived_at IS 'When they were stored, by the program''s clock.';
COMMENT ON COLUMN candle_arrivals.span IS 'The minutes. None that was stored before lies in it.';

CREATE FUNCTION writing_now() RETURNS timestamptz LANGUAGE sql STABLE
    RETURN coalesce(nullif(current_setting('candlehouse.now', true), '')::timestamptz, now());
COMMENT ON FUNCTION writing_now IS 'The program''s time of the write under way (candles_lock.sql tells it); the server''s for hands.';

CREATE FUNCTION late_before() RETURNS timestamptz LANGUAGE sql STABLE
    RETURN date_bin('1 minute', writing_now(), '2000-01-03 00:00:00+00') - interval '2 minutes';
COMMENT ON FUNCTION late_before IS 'Minutes that start before this and are first stored now go to candle_arrivals.';

CREATE FUNCTION note_revised_candle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO candle_revisions
        (symbol_id, time, superseded_at, open, high, low, close, volume, quote_volume, trades, source)
    VALUES (old.symbol_id, old.time, writing_now(), old.open, old.high, old.low, old.close, old.volume, old.quote_volume,
        old.trades, old.source);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION note_revised_candle IS 'Keeps the values of a minute that other values replace.';
-- Whoever replaces them, the program or hands. A source that only confirms the values makes no revision.
CREATE TRIGGER candles_revised AFTER UPDATE ON candles FOR EACH ROW
    WHEN (old.open IS DISTINCT FROM new.open OR old.high IS DISTINCT FROM new.high OR old.low IS DISTINCT FROM new.low
        OR old.close IS DISTINCT FROM new.close OR old.volume IS DISTINCT FROM new.volume
        OR old.quote_volume IS DISTINCT FROM new.quote_volume OR old.trades IS DISTINCT FROM new.trades)
    EXECUTE FUNCTION note_revised_candle();
COMMENT ON TRIGGER candles_revised ON candles IS 'Corrected minutes keep their old values.';

CREATE FUNCTION revision_known_from(symbol_id int, minute timestamptz, id bigint, superseded_at timestamptz)
RETURNS timestamptz LANGUAGE sql STABLE BEGIN ATOMIC
    SELECT coalesce(
        (SELECT max(p.superseded_at) FROM candle_revisions AS p
            WHERE p.symbol_id = $1 AND p.time = $2 AND p.id < $3),
        (SELECT max(a.arrived_at) FROM candle_arrivals AS a
            WHERE a.symbol_id = $1 AND a.span @> $2 AND a.arrived_at <= $4),
        $2 + interval '1 minute');
END;
COMMENT ON FUNCTION revision_known_from IS
    'Since when the values of a revision were the known ones: the revision before it, the minute''s arrival, or its end.';

CREATE VIEW ohlcvs_revisions AS
SELECT r.id, r.time, s.exchange, s.base_id, s.quote_id, r.open, r.high, r.low, r.close, r.volume, r.quote_volume, r.trades,
    r.source, revision_known_from(r.symbol_id, r.time, r.id, r.superseded_at) AS known_from,
    r.superseded_at
FROM symbol_exchange AS s JOIN candle_revisions AS r ON r.symbol_id = s.id
WHERE s.market_type = 'spot';
COMMENT ON VIEW ohlcvs_revisions IS
    'Values that minutes of spot markets had before a correction, by name. SELECT … ORDER BY id is the order of the corrections.';
COMMENT ON COLUMN ohlcvs_revisions.known_from IS 'Since when these values were the known ones.';
DO $do$
DECLARE
    col record;
BEGIN
    FOR col IN
        SELECT a.attname AS name, coalesce(t.said, u.said) AS said
        FROM pg_attribute AS a
        LEFT JOIN (SELECT attname, col_description(attrelid, attnum) AS said FROM pg_attribute
            WHERE attrelid = 'candle_revisions'::regclass) AS t ON t.attname = a.attname
        LEFT JOIN (SELECT attname, col_description(attrelid, attnum) AS said FROM pg_attribute
            WHERE attrelid = 'symbol_exchange'::regclass) AS u ON u.attname = a.attname
        WHERE a.attrelid = 'ohlcvs_revisions'::regclass AND a.attnum > 0 AND a.attname <> 'known_from'
    LOOP
        EXECUTE format('COMMENT ON COLUMN ohlcvs_revisions.%I IS %L', col.name, col.said);
    END LOOP;
END $do$;

-- As before, but minutes that are new by hand arrive as well.
CREATE OR REPLACE FUNCTION ohlcvs_before_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_stat_progress_copy WHERE pid = pg_backend_pid() AND relid = TG_RELID) THEN
        RAISE EXCEPTION 'COPY into ohlcvs is not possible.' USING ERRCODE = 'feature_not_supported',
            HINT = 'COPY into a table of your own, then INSERT INTO ohlcvs SELECT from it.';
    END IF;
    IF to_regclass('pg_temp.inserted_minutes') IS NULL THEN
        CREATE TEMP TABLE inserted_minutes (symbol_id int, time timestamptz, changed boolean, is_new boolean)
            ON COMMIT DELETE ROWS;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION ohlcvs_insert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    id int := symbol_named(NEW.exchange, NEW.base_id, NEW.quote_id);
    is_new boolean;
BEGIN
    IF num_nulls(NEW.time, NEW.open, NEW.high, NEW.low, NEW.close, NEW.volume) > 0 THEN
        RAISE EXCEPTION 'A candle needs time, open, high, low, close and volume.' USING ERRCODE = 'not_null_violation';
    END IF;
    IF NEW.time <> date_bin('1 minute', NEW.time, '2000-01-03 00:00:00+00') THEN
        RAISE EXCEPTION 'A candle starts with its minute, and % does not.', NEW.time
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF ARRAY[NEW.open, NEW.high, NEW.low, NEW.close, NEW.volume] && '{NaN,Infinity,-Infinity}' THEN
        RAISE EXCEPTION 'Prices and volume must be numbers.' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(7310002, id % 64);
    is_new := NOT EXISTS (SELECT FROM candles AS c WHERE c.symbol_id = id AND c.time = NEW.time);
    INSERT INTO candles AS c (symbol_id, time, open, high, low, close, volume, source)
    VALUES (id, NEW.time, NEW.open, NEW.high, NEW.low, NEW.close, NEW.volume, 3)
    ON CONFLICT (symbol_id, time) DO UPDATE
    SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,
        source = 3, quote_volume = CASE WHEN (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
            = (c.open, c.high, c.low, c.close, c.volume) THEN c.quote_volume END,
        trades = CASE WHEN (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
            = (c.open, c.high, c.low, c.close, c.volume) THEN c.trades END
    WHERE c.source < 3 OR (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
        <> (c.open, c.high, c.low, c.close, c.volume);
    INSERT INTO pg_temp.inserted_minutes VALUES (id, NEW.time, FOUND, is_new);
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION ohlcvs_after_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rollup_dirty (symbol_id, span)
    SELECT symbol_id, tstzrange(min(time), max(time) + interval '1 minute')
    FROM pg_temp.inserted_minutes WHERE changed GROUP BY symbol_id, bucket_7day(time);
    INSERT INTO candle_arrivals (symbol_id, arrived_at, span)
    SELECT symbol_id, writing_now(), unnest(range_agg(tstzrange(time, time + interval '1 minute')))
    FROM pg_temp.inserted_minutes WHERE is_new AND time < late_before() GROUP BY symbol_id;
    INSERT INTO coverage AS c (symbol_id, covered)
    SELECT symbol_id, range_agg(tstzrange(time, time + interval '1 minute'))
    FROM pg_temp.inserted_minutes GROUP BY symbol_id ORDER BY symbol_id
    ON CONFLICT (symbol_id) DO UPDATE SET covered = c.covered + excluded.covered WHERE NOT c.covered @> excluded.covered;
    DELETE FROM pg_temp.inserted_minutes;
    RETURN NULL;
END $$;


-- 0014_as_of.sql
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


-- 0015_retention.sql
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


-- 0016_reads.sql
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


-- 0017_audits.sql
-- Minutes that were answered with nothing while they were young are asked for once more; docs/adr/0018-repair.md.

ALTER TABLE coverage ADD COLUMN audited_until timestamptz;
COMMENT ON COLUMN coverage.audited_until IS
    'Every covered minute before this was last asked for when it was at least a day old; NULL where nobody has looked yet.';


-- 0018_listing.sql
-- Before many pages of a market are asked for, its first minute is looked for, so that nobody pages through years without it.

ALTER TABLE fetch_job_symbols ADD COLUMN sought boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN fetch_job_symbols.sought IS 'The market''s first minute was looked for, and found or not.';
COMMENT ON COLUMN symbol_exchange.listed_at IS 'The first minute that the exchange has candles of, where known; set it to NULL to have it looked for again.';
COMMENT ON COLUMN fetch_leases.span IS 'The page''s minutes; empty while the market''s first minute is looked for.';


-- 0019_errors_not_kept.sql
-- A failed fetch of minutes that retention has dropped since is over as well.

COMMENT ON COLUMN ohlcvs_errors.repaired_at IS
    'When all its minutes had been answered, or were not kept any more; NULL before.';
UPDATE ohlcvs_errors AS e SET repaired_at = now() FROM coverage AS c
WHERE c.symbol_id = e.symbol_id AND e.end_date <= c.horizon AND e.repaired_at IS NULL;


-- 0020_events.sql
-- What happened to the feeds, for people and programs; docs/reference/events.md.

CREATE TABLE events (
    id text PRIMARY KEY,
    time timestamptz NOT NULL,
    exchange text NOT NULL,
    kind text NOT NULL,
    market text NOT NULL DEFAULT '',
    detail text NOT NULL DEFAULT '',
    facts jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_exchange ON events (exchange, id);
COMMENT ON TABLE events IS 'What happened to the feeds: connected, lost, stale, refused, healed, gap, outage. Yours to delete from.';
COMMENT ON COLUMN events.id IS 'Sorts by time; the same in Redis, on the WebSocket and in webhooks.';
COMMENT ON COLUMN events.time IS 'When it happened.';
COMMENT ON COLUMN events.exchange IS 'Whose feed.';
COMMENT ON COLUMN events.kind IS 'connected, lost, stale, refused, healed, gap or outage.';
COMMENT ON COLUMN events.market IS 'BASE/QUOTE where it concerns one market, else empty.';
COMMENT ON COLUMN events.detail IS 'One sentence: the reason as far as it is known.';
COMMENT ON COLUMN events.facts IS 'Figures, named with their units, such as minutes, markets and silent_ms.';


-- 0021_webhooks.sql
-- Whom to tell by HTTP of what happens to the feeds; docs/howto/get-told.md.

CREATE TABLE webhooks (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url text NOT NULL,
    secret text NOT NULL,
    kinds text[] NOT NULL,
    created_at timestamptz NOT NULL,
    told_at timestamptz,
    failed_at timestamptz,
    failure text NOT NULL DEFAULT ''
);
COMMENT ON TABLE webhooks IS 'Addresses that are told of events by POST; candlehouse webhooks adds and removes them.';
COMMENT ON COLUMN webhooks.id IS 'Its number.';
COMMENT ON COLUMN webhooks.created_at IS 'When it was added; it is told of nothing that happened before.';
COMMENT ON COLUMN webhooks.url IS 'Where to post; it may hold a token of its owner.';
COMMENT ON COLUMN webhooks.secret IS 'What the signature of each message is made with.';
COMMENT ON COLUMN webhooks.kinds IS 'Which kinds of events it is told of.';
COMMENT ON COLUMN webhooks.told_at IS 'When it last took a message.';
COMMENT ON COLUMN webhooks.failed_at IS 'When it last did not.';
COMMENT ON COLUMN webhooks.failure IS 'What it answered then; empty once it has taken a message again.';


-- 0022_names.sql
-- What markets were called before, so that a series goes on under one id whatever its name; docs/adr/0024-identity.md.

CREATE TABLE symbol_names (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    symbol_id int NOT NULL REFERENCES symbol_exchange (id) ON DELETE CASCADE,
    exchange text NOT NULL,
    market_type text NOT NULL,
    base_id text NOT NULL,
    quote_id text NOT NULL,
    symbol text NOT NULL,
    native_base text NOT NULL,
    native_quote text NOT NULL,
    renamed_at timestamptz NOT NULL,
    serves_before timestamptz
);
CREATE INDEX symbol_names_idx ON symbol_names (exchange, market_type, base_id, quote_id);
CREATE INDEX symbol_names_symbol_idx ON symbol_names (symbol_id);
COMMENT ON TABLE symbol_names IS
    'Former names of markets. A name that another market bears now means that one; of two that bore it, the last.';
COMMENT ON COLUMN symbol_names.id IS 'Order of the renamings.';
COMMENT ON COLUMN symbol_names.symbol_id IS 'symbol_exchange.id of the market, which bears other names now.';
COMMENT ON COLUMN symbol_names.exchange IS 'As in symbol_exchange.';
COMMENT ON COLUMN symbol_names.market_type IS 'As in symbol_exchange.';
COMMENT ON COLUMN symbol_names.base_id IS 'What is bought and sold, as we called it.';
COMMENT ON COLUMN symbol_names.quote_id IS 'What prices are counted in, as we called it.';
COMMENT ON COLUMN symbol_names.symbol IS 'The exchange''s own name of the market then.';
COMMENT ON COLUMN symbol_names.native_base IS 'The exchange''s own code of the base currency then.';
COMMENT ON COLUMN symbol_names.native_quote IS 'The exchange''s own code of the quote currency then.';
COMMENT ON COLUMN symbol_names.renamed_at IS 'When the program learned of the names that followed.';
COMMENT ON COLUMN symbol_names.serves_before IS
    'Minutes before this are asked of the exchange under this name; NULL where its present one has them all.';

CREATE TABLE symbols_joined (
    gone int PRIMARY KEY,
    into_id int NOT NULL REFERENCES symbol_exchange (id) ON DELETE CASCADE
);
CREATE INDEX symbols_joined_into_idx ON symbols_joined (into_id);
COMMENT ON TABLE symbols_joined IS 'Numbers of markets that turned out to be others under a new name: nothing is written under them.';
COMMENT ON COLUMN symbols_joined.gone IS 'What symbol_exchange.id was.';
COMMENT ON COLUMN symbols_joined.into_id IS 'symbol_exchange.id of the market that has its minutes now.';

-- Whoever remembers which id a name means asks for this number, and reads the names again when it is another one.
CREATE TABLE symbols_version (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    version bigint NOT NULL DEFAULT 0
);
INSERT INTO symbols_version DEFAULT VALUES;
COMMENT ON TABLE symbols_version IS 'One row: changes with every change of names in symbol_exchange.';
COMMENT ON COLUMN symbols_version.single IS 'Keeps it one row.';
COMMENT ON COLUMN symbols_version.version IS 'The transaction of the last change.';

CREATE FUNCTION note_changed_symbols() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE symbols_version SET version = pg_current_xact_id()::text::bigint
    WHERE version <> pg_current_xact_id()::text::bigint;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION note_changed_symbols IS 'Changes symbols_version, once in a transaction.';
CREATE TRIGGER symbols_added AFTER INSERT OR DELETE ON symbol_exchange
    FOR EACH ROW EXECUTE FUNCTION note_changed_symbols();
CREATE TRIGGER symbols_changed AFTER UPDATE ON symbol_exchange FOR EACH ROW
    WHEN (old.exchange IS DISTINCT FROM new.exchange OR old.market_type IS DISTINCT FROM new.market_type
        OR old.base_id IS DISTINCT FROM new.base_id OR old.quote_id IS DISTINCT FROM new.quote_id
        OR old.symbol IS DISTINCT FROM new.symbol OR old.native_base IS DISTINCT FROM new.native_base
        OR old.native_quote IS DISTINCT FROM new.native_quote OR old.is_trading IS DISTINCT FROM new.is_trading
        OR old.delisted_at IS DISTINCT FROM new.delisted_at)
    EXECUTE FUNCTION note_changed_symbols();
COMMENT ON TRIGGER symbols_added ON symbol_exchange IS 'Who remembers names learns of it.';
COMMENT ON TRIGGER symbols_changed ON symbol_exchange IS 'Who remembers names learns of it.';

CREATE FUNCTION lock_symbols(ids int[], at timestamptz) RETURNS int[] LANGUAGE plpgsql AS $$
BEGIN
    -- Shared, it keeps horizons where they are, and markets from being joined.
    PERFORM pg_advisory_xact_lock_shared(7310006);
    PERFORM pg_advisory_xact_lock(7310002, slot)
    FROM (SELECT DISTINCT id % 64 AS slot FROM unnest(ids) AS id ORDER BY slot) AS slots;
    PERFORM set_config('candlehouse.now', at::text, true);
    RETURN ARRAY(SELECT gone FROM symbols_joined WHERE gone = ANY (ids));
END $$;
COMMENT ON FUNCTION lock_symbols IS
    'Begins a write to the candles of symbols at a moment of the program''s clock; those of them that are no markets any more.';

CREATE FUNCTION symbol_by_name(exchange text, base_id text, quote_id text, market_type text DEFAULT 'spot')
RETURNS int LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT s.id FROM symbol_exchange AS s
        WHERE s.exchange = $1 AND s.market_type = $4 AND s.delisted_at IS NULL
            AND ((s.base_id, s.quote_id) = ($2, $3) OR (s.native_base, s.native_quote) = ($2, $3))
        ORDER BY (s.base_id, s.quote_id) = ($2, $3) DESC LIMIT 1
    ), (
        SELECT n.symbol_id FROM symbol_names AS n JOIN symbol_exchange AS s ON s.id = n.symbol_id AND s.delisted_at IS NULL
        WHERE n.exchange = $1 AND n.market_type = $4
            AND ((n.base_id, n.quote_id) = ($2, $3) OR (n.native_base, n.native_quote) = ($2, $3))
        ORDER BY (n.base_id, n.quote_id) = ($2, $3) DESC, n.id DESC LIMIT 1
    ))
$$;
COMMENT ON FUNCTION symbol_by_name IS
    'symbol_exchange.id of a market that is not delisted, spelled exactly: by its common names, the exchange''s own, or former ones; else NULL.';

CREATE OR REPLACE FUNCTION symbol_named(exchange text, base_id text, quote_id text, market_type text DEFAULT 'spot')
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
    id := coalesce(id, symbol_by_name(lower($1), $2, $3, $4), symbol_by_name(lower($1), upper($2), upper($3), $4));
    IF id IS NULL THEN
        RAISE EXCEPTION 'Unknown market: % has no %/% (%).', coalesce(exchange, 'NULL'), coalesce(base_id, 'NULL'),
            coalesce(quote_id, 'NULL'), market_type
            USING ERRCODE = 'no_data_found', HINT = 'SELECT exchange, base_id, quote_id FROM symbol_exchange lists what there is.';
    END IF;
    RETURN id;
END $$;
COMMENT ON FUNCTION symbol_named IS
    'symbol_exchange.id of a market that is not delisted, by its common names, the exchange''s own, or those it had before.';

-- A market that is delisted gave its names up; another may bear them by now, and their candles are not to be mixed.
DO $do$
DECLARE
    view text;
BEGIN
    FOR view IN SELECT 'ohlcvs' UNION ALL SELECT 'ohlcvs_revisions' UNION ALL SELECT 'ohlcvs_summary_' || name FROM rollup_chain()
    LOOP
        EXECUTE format('CREATE OR REPLACE VIEW %I AS %s', view, replace(pg_get_viewdef(view::regclass),
            '(s.market_type = ''spot''::text)', '(s.market_type = ''spot''::text AND s.delisted_at IS NULL)'));
        IF pg_get_viewdef(view::regclass) !~ 'delisted_at' THEN
            RAISE EXCEPTION '% was not changed', view;
        END IF;
    END LOOP;
    -- By hand as well nothing is written to a market that was joined to another meanwhile.
    EXECUTE replace(pg_get_functiondef('ohlcvs_insert'::regproc), 'PERFORM pg_advisory_xact_lock(7310002, id % 64);',
        'IF lock_symbols(ARRAY[id], writing_now()) <> ''{}'' THEN
        RAISE EXCEPTION ''This market was renamed just now; insert again.'' USING ERRCODE = ''serialization_failure'';
    END IF;');
    IF pg_get_functiondef('ohlcvs_insert'::regproc) !~ 'lock_symbols' THEN
        RAISE EXCEPTION 'ohlcvs_insert was not changed';
    END IF;
END $do$;


-- 0023_keys.sql
-- Who may use the web with a key of its own; docs/howto/open-to-others.md.

CREATE TABLE api_keys (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    scope text NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
    per_minute integer NOT NULL CHECK (per_minute > 0),
    digest bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    used_at timestamptz,
    revoked_at timestamptz
);
COMMENT ON TABLE api_keys IS 'Keys for the web; candlehouse keys adds and revokes them. None can be read back from here.';
COMMENT ON COLUMN api_keys.id IS 'Its number.';
COMMENT ON COLUMN api_keys.name IS 'Whose it is, in a person''s words.';
COMMENT ON COLUMN api_keys.scope IS 'read, write (read too) or admin (everything).';
COMMENT ON COLUMN api_keys.per_minute IS 'Requests a minute that it may make of one web process.';
COMMENT ON COLUMN api_keys.digest IS 'SHA-256 of the key, which is random and long: no more is needed to keep it secret.';
COMMENT ON COLUMN api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN api_keys.expires_at IS 'It opens nothing from then on; NULL: until it is revoked.';
COMMENT ON COLUMN api_keys.used_at IS 'When it was last used, within a minute; NULL: never.';
COMMENT ON COLUMN api_keys.revoked_at IS 'It opens nothing since then.';


CREATE TABLE alembic_version (
    version_num varchar(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO alembic_version VALUES ('0023');
COMMIT;
