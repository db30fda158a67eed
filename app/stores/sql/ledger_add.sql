-- $1 symbol ids and $2 changed minutes in milliseconds, one of each for every candle; a span for each week.
INSERT INTO rollup_dirty (symbol_id, span)
SELECT symbol_id, tstzrange(
    to_timestamp(min(open_ms) / 1000::double precision),
    to_timestamp(max(open_ms) / 1000::double precision) + interval '1 minute')
FROM unnest($1::int[], $2::bigint[]) AS changed (symbol_id, open_ms)
GROUP BY symbol_id, open_ms / 604800000
