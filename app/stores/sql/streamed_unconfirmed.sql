-- Stored minutes of symbols ($1) in [$2, $3) that no record has confirmed.
SELECT symbol_id, time FROM candles
WHERE symbol_id = ANY($1::int[]) AND time >= $2 AND time < $3 AND source < 3
ORDER BY symbol_id, time
