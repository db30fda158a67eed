-- Grow one {column} of coverage, covered or wanted: $1 symbol ids, $2 starts and $3 ends in milliseconds, which arrive
-- faster than a timestamptz each. Nothing is written for minutes that were {column} already, nor before a horizon, nor of
-- what was joined to another market meanwhile.
INSERT INTO coverage AS c (symbol_id, {column})
SELECT symbol_id, range_agg(tstzrange(
    to_timestamp(starts / 1000::double precision), to_timestamp(ends / 1000::double precision)))
FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS added (symbol_id, starts, ends)
WHERE starts < ends AND NOT EXISTS (SELECT FROM symbols_joined WHERE gone = symbol_id)
GROUP BY symbol_id
ORDER BY symbol_id
ON CONFLICT (symbol_id) DO UPDATE
SET {column} = c.{column} + (excluded.{column} - tstzmultirange(tstzrange(NULL, coalesce(c.horizon, '-infinity'))))
WHERE NOT c.{column} @> excluded.{column}
