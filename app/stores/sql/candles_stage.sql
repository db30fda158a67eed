-- The table that a batch is copied into; emptied first, because a transaction may write more than one batch.
CREATE TEMP TABLE IF NOT EXISTS staged_candles (
    symbol_id int,
    time timestamptz,
    open double precision,
    high double precision,
    low double precision,
    close double precision,
    volume double precision,
    quote_volume double precision,
    trades int,
    source smallint
) ON COMMIT DELETE ROWS;
TRUNCATE staged_candles
