-- What is noted of minutes of the joined market ($2) is so of the other one ($1). Of minutes that both have ($3, as text) what
-- was known under the older id stays what was known.
WITH gone AS (
    DELETE FROM candle_revisions WHERE symbol_id = $2 AND $3::text::tstzmultirange @> time
), revisions AS (
    UPDATE candle_revisions SET symbol_id = $1 WHERE symbol_id = $2 AND NOT $3::text::tstzmultirange @> time
), late AS (
    DELETE FROM candle_arrivals WHERE symbol_id = $2 RETURNING arrived_at, span
), arrivals AS (
    INSERT INTO candle_arrivals (symbol_id, arrived_at, span)
    SELECT $1, arrived_at, unnest(tstzmultirange(span) - $3::text::tstzmultirange) FROM late
), archives AS (
    DELETE FROM imported_archives WHERE symbol_id = $2 RETURNING *
), imported AS (
    INSERT INTO imported_archives (symbol_id, file, checksum, covered, rows, imported_at)
    SELECT $1, file, checksum, covered, rows, imported_at FROM archives ON CONFLICT DO NOTHING
), outages AS (
    UPDATE exchange_outages SET symbols = ARRAY(
        SELECT DISTINCT one FROM unnest(array_replace(symbols, $2, $1)) AS one ORDER BY one
    )
    WHERE $2 = ANY (symbols)
)
UPDATE ohlcvs_errors SET symbol_id = $1 WHERE symbol_id = $2
