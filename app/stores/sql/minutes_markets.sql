-- When symbols ($1) were listed, where that is known, and their first and last stored minutes, where there are any.
SELECT s.id, s.listed_at, oldest.bucket, newest.bucket
FROM symbol_exchange AS s
LEFT JOIN LATERAL (SELECT bucket FROM bars_1min WHERE symbol_id = s.id ORDER BY bucket LIMIT 1) AS oldest ON true
LEFT JOIN LATERAL (SELECT bucket FROM bars_1min WHERE symbol_id = s.id ORDER BY bucket DESC LIMIT 1) AS newest ON true
WHERE s.id = ANY ($1::int[])
