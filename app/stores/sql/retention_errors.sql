-- Failures of symbols ($1) that ask for nothing after a horizon ($2) are over.
UPDATE ohlcvs_errors SET repaired_at = now() WHERE symbol_id = ANY ($1) AND end_date <= $2 AND repaired_at IS NULL
