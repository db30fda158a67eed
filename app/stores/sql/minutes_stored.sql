-- The markets among $1 that have candles, and their first and last minutes.
SELECT asked.id, oldest.bucket, newest.bucket
FROM unnest($1::int[]) AS asked (id)
CROSS JOIN LATERAL (SELECT bucket FROM bars_1min WHERE symbol_id = asked.id ORDER BY bucket LIMIT 1) AS oldest
CROSS JOIN LATERAL (SELECT bucket FROM bars_1min WHERE symbol_id = asked.id ORDER BY bucket DESC LIMIT 1) AS newest
