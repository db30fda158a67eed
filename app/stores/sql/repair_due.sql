-- $1 exchange, $2 now. Failed spans that are due for another try: 1 minute after the first failure, then 5, 30, 2 hours, 12, and
-- daily. What was refused for good (no such market, not from this address) is asked daily from the first time on.
-- A span waits as long as any failure that touches it does.
WITH failed AS (
    SELECT symbol_id, tstzrange(start_date, end_date) AS span, last_at + CASE
        WHEN exception_class = 'Blocked' OR resp_status_code IN (401, 403, 404, 410, 451) THEN interval '1 day'
        ELSE ('{1 minute,5 minutes,30 minutes,2 hours,12 hours,1 day}'::interval[])[least(attempts, 6)]
        END <= $2 AS due
    FROM ohlcvs_errors
    WHERE exchange = $1 AND repaired_at IS NULL AND symbol_id IS NOT NULL AND start_date < end_date
)
SELECT symbol_id, lower(span), upper(span)
FROM (
    SELECT symbol_id, unnest(range_agg(span) FILTER (WHERE due) - coalesce(range_agg(span) FILTER (WHERE NOT due), '{}')) AS span
    FROM failed GROUP BY symbol_id
) AS left_over
ORDER BY 1, 2
