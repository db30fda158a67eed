-- The bars of $1 as stored, if the ledger says nothing of [$2, $3): then they are exact, and half the work of
-- exact_{suffix}. If it does, one row of NULLs. Both are looked at in one snapshot.
SELECT b.*
FROM (
    SELECT EXISTS (SELECT FROM rollup_dirty WHERE symbol_id = $1 AND span && tstzrange($2, $3)) AS changed
) AS ledger
LEFT JOIN LATERAL (
    SELECT bucket, open, high, low, close, volume::float8, quote_volume::float8, trades
    FROM bars_{suffix}
    WHERE symbol_id = $1 AND bucket >= $2 AND bucket < $3 AND NOT ledger.changed
    ORDER BY bucket {order} LIMIT $4
) AS b ON true
WHERE ledger.changed OR b.bucket IS NOT NULL
