-- Of symbols ($1), those with minutes before $2: how many, their span, and whether older ones are being fetched.
SELECT of.symbol_id, old.minutes, old.starts, old.ends + interval '1 minute', is_fetched_before(of.symbol_id, $2)
FROM unnest($1::int[]) AS of (symbol_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS minutes, min(c.time) AS starts, max(c.time) AS ends
    FROM candles AS c WHERE c.symbol_id = of.symbol_id AND c.time < $2
) AS old
WHERE old.minutes > 0
ORDER BY of.symbol_id
