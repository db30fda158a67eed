-- $1: real or simulated. The kind that the database is of, which is $1 when it was of none.
WITH first AS (INSERT INTO market_kind (kind) VALUES ($1) ON CONFLICT (single) DO NOTHING RETURNING kind)
SELECT kind FROM first UNION ALL SELECT kind FROM market_kind LIMIT 1
