-- $1 symbol ids, $2 first and $3 last changed minutes in milliseconds: one of each for every symbol and week.
INSERT INTO rollup_dirty (symbol_id, span)
SELECT symbol_id, tstzrange(
    to_timestamp(first_ms / 1000::double precision),
    to_timestamp(last_ms / 1000::double precision) + interval '1 minute')
FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS changed (symbol_id, first_ms, last_ms)
