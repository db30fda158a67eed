SELECT id AS symbol_id, newest.time, newest.close
FROM unnest($1::int[]) AS id
CROSS JOIN LATERAL (SELECT time, close FROM candles WHERE symbol_id = id ORDER BY time DESC LIMIT 1) AS newest
