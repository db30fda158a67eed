-- The horizons of symbols ($1) that lie after $2.
SELECT symbol_id, horizon FROM coverage WHERE symbol_id = ANY ($1::int[]) AND horizon > $2
