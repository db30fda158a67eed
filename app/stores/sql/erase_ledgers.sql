-- What is noted of a symbol's ($1) minutes beside the minutes.
WITH revisions AS (DELETE FROM candle_revisions WHERE symbol_id = $1),
    arrivals AS (DELETE FROM candle_arrivals WHERE symbol_id = $1),
    outages AS (DELETE FROM outages_sought WHERE symbol_id = $1),
    archives AS (DELETE FROM imported_archives WHERE symbol_id = $1)
DELETE FROM ohlcvs_errors WHERE symbol_id = $1 AND repaired_at IS NULL
