-- $1 symbol ids, $2 first and $3 last changed minutes in milliseconds: one of each for every symbol and week. All minutes
-- are new, with none stored between them: those that are over for long arrive as one span.
WITH ledger AS (
    INSERT INTO rollup_dirty (symbol_id, span)
    SELECT symbol_id, tstzrange(
        to_timestamp(first_ms / 1000::double precision),
        to_timestamp(last_ms / 1000::double precision) + interval '1 minute')
    FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS changed (symbol_id, first_ms, last_ms)
    RETURNING symbol_id, span
)
INSERT INTO candle_arrivals (symbol_id, arrived_at, span)
SELECT symbol_id, writing_now(), tstzrange(lower(span), least(upper(span), late_before()))
FROM ledger WHERE lower(span) < late_before()
