-- $1 symbol ids, $2 and $3 a span: what plan_create.sql would plan.
SELECT asked.symbol_id, lower(piece), upper(piece)
FROM unnest($1::int[]) AS asked (symbol_id)
LEFT JOIN coverage AS c USING (symbol_id) LEFT JOIN symbol_exchange AS e ON e.id = asked.symbol_id
CROSS JOIN LATERAL unnest(
    tstzmultirange(tstzrange($2, $3)) - coalesce(c.covered, '{}')
        - tstzmultirange(tstzrange(NULL, greatest(e.listed_at, c.horizon, '-infinity')))
) AS piece
ORDER BY asked.symbol_id, piece
