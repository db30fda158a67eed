-- When symbol $1 traded within spans, ascending: $2 starts and $3 ends in milliseconds.
SELECT b.bucket
FROM unnest($2::bigint[], $3::bigint[]) AS given (starts, ends)
JOIN bars_1min AS b ON b.symbol_id = $1
    AND b.bucket >= to_timestamp(given.starts / 1000::double precision)
    AND b.bucket < to_timestamp(given.ends / 1000::double precision)
ORDER BY 1
