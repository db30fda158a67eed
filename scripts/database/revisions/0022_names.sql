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
