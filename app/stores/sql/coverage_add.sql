-- $1 symbol ids, $2 starts, $3 ends. Nothing is written for minutes that were covered already.
INSERT INTO coverage AS c (symbol_id, covered)
SELECT symbol_id, range_agg(tstzrange(starts, ends))
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) AS added (symbol_id, starts, ends)
WHERE starts < ends
GROUP BY symbol_id
ORDER BY symbol_id
ON CONFLICT (symbol_id) DO UPDATE
SET covered = c.covered + excluded.covered
WHERE NOT c.covered @> excluded.covered
