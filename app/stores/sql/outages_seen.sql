-- Where outages were sought already: $1 symbol ids.
SELECT symbol_id, lower(span), upper(span)
FROM outages_sought CROSS JOIN LATERAL unnest(minutes) AS span
WHERE symbol_id = ANY ($1::int[])
ORDER BY symbol_id, span
