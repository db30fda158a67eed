-- How many minutes of symbols ($1) are in each state, from $2 to $3 at the moment $4.
SELECT id, t.state, t.minutes FROM unnest($1::int[]) AS id CROSS JOIN LATERAL minute_totals(id, $2, $3, $4) AS t
