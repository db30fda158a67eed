-- $1 symbol, $2 and $3 a span: stored minutes that nobody has answered for, without those that wait to be confirmed.
SELECT count(*)
FROM candles AS c LEFT JOIN coverage AS v ON v.symbol_id = c.symbol_id
WHERE c.symbol_id = $1 AND c.time >= $2 AND c.time < $3 AND c.source = 3 AND NOT coalesce(v.covered, '{}') @> c.time AND c.time >= horizon_of($1)
