-- Wanted minutes of symbols ($1) that no exchange has answered for, from $2 to $3 at the moment $4.
SELECT c.symbol_id, r.state, r.reason, lower(gap), upper(gap)
FROM coverage AS c
CROSS JOIN LATERAL minute_regions(c.symbol_id, $2, $3, $4) AS r
CROSS JOIN LATERAL unnest(r.minutes * c.wanted) AS gap
WHERE c.symbol_id = ANY ($1::int[]) AND NOT c.wanted <@ c.covered AND r.state IN ('fetching', 'failed', 'not_asked')
ORDER BY 1, 4
