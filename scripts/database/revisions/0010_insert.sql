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
