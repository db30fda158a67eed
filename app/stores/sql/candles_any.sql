-- $1 distinct symbol ids; whether any of them has a minute in [$2, $3).
SELECT EXISTS (
    SELECT FROM unnest($1::int[]) AS id
    CROSS JOIN LATERAL (
        SELECT FROM candles AS c WHERE c.symbol_id = id AND c.time >= $2 AND c.time < $3 LIMIT 1
    ) AS stored
)
