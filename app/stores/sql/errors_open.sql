-- Which of symbols $1 have failures that nobody has repaired.
SELECT DISTINCT symbol_id FROM ohlcvs_errors WHERE symbol_id = ANY ($1::int[]) AND repaired_at IS NULL
