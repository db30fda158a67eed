-- Whether any minute is stored from $2 to $3 of symbol $1 (a list of each, milliseconds), all in [$4, $5).
SELECT EXISTS (
    SELECT FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS one (symbol_id, first_ms, last_ms)
    CROSS JOIN LATERAL (
        SELECT FROM candles AS c
        WHERE c.symbol_id = one.symbol_id AND c.time >= $4 AND c.time < $5
            AND c.time >= to_timestamp(one.first_ms / 1000::double precision)
            AND c.time <= to_timestamp(one.last_ms / 1000::double precision)
        LIMIT 1
    ) AS stored
)
