-- Outages were sought in these minutes: $1 symbol ids, $2 starts and $3 ends in milliseconds.
INSERT INTO outages_sought AS s (symbol_id, minutes)
SELECT symbol_id, range_agg(tstzrange(
    to_timestamp(starts / 1000::double precision), to_timestamp(ends / 1000::double precision)))
FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS added (symbol_id, starts, ends)
WHERE starts < ends AND NOT EXISTS (SELECT FROM symbols_joined WHERE gone = symbol_id)
GROUP BY symbol_id
ON CONFLICT (symbol_id) DO UPDATE SET minutes = s.minutes + excluded.minutes
