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
