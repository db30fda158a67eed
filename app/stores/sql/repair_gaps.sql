-- $1 symbol ids, $2 and $3 a span: wanted minutes and failed ones that nobody has answered for.
SELECT id, lower(gap), upper(gap)
FROM unnest($1::int[]) AS id
LEFT JOIN coverage AS c ON c.symbol_id = id
CROSS JOIN LATERAL unnest((coalesce(c.wanted, '{}') + coalesce((
    SELECT range_agg(tstzrange(e.start_date, e.end_date)) FROM ohlcvs_errors AS e
    WHERE e.symbol_id = id AND e.repaired_at IS NULL AND e.start_date < e.end_date
), '{}')) * tstzmultirange(tstzrange(c.horizon, NULL) * tstzrange($2, $3)) - coalesce(c.covered, '{}')) AS gap
ORDER BY 1, 2
