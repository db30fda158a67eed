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
