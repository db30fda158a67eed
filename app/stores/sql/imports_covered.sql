-- Answered minutes of symbol $1 in [$2, $3), ascending.
SELECT lower(span), upper(span)
FROM coverage CROSS JOIN LATERAL unnest(covered * tstzmultirange(tstzrange($2, $3))) AS span
WHERE symbol_id = $1
ORDER BY span
