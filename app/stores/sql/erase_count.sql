-- Candles of symbols ($1).
SELECT coalesce(sum(of_one.n), 0)
FROM unnest($1::int[]) AS a (id)
CROSS JOIN LATERAL (SELECT count(*) AS n FROM candles AS c WHERE c.symbol_id = a.id) AS of_one
