-- Of one {column} of coverage, covered or wanted: $1 symbol ids.
SELECT symbol_id, lower(span), upper(span)
FROM coverage CROSS JOIN LATERAL unnest({column}) AS span
WHERE symbol_id = ANY ($1::int[])
ORDER BY symbol_id, span
