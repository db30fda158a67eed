-- The first and the last stored minute of each symbol ($1) that has any.
SELECT id, oldest.bucket, newest.bucket
FROM unnest($1::int[]) AS id
CROSS JOIN LATERAL (SELECT bucket FROM bars_1min WHERE symbol_id = id ORDER BY bucket LIMIT 1) AS oldest
CROSS JOIN LATERAL (SELECT bucket FROM bars_1min WHERE symbol_id = id ORDER BY bucket DESC LIMIT 1) AS newest
