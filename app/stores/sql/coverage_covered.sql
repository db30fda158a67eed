SELECT symbol_id, lower(span), upper(span)
FROM coverage CROSS JOIN LATERAL unnest(covered) AS span
WHERE symbol_id = ANY ($1::int[])
ORDER BY symbol_id, span
