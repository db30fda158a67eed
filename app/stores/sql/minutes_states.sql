-- Spans of symbols ($1) in some states ($5), from $2 to $3 at the moment $4; at most $6, ascending.
SELECT id, m.state, m.reason, lower(m.span), upper(m.span)
FROM unnest($1::int[]) AS id CROSS JOIN LATERAL minute_states(id, $2, $3, $4) AS m
WHERE m.state = ANY ($5::text[])
ORDER BY 1, 4
LIMIT $6
