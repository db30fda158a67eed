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
