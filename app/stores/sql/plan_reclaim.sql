-- $1 now, $2 leases to give back whatever their age. A page goes back to its job if that is still wanted.
WITH gone AS (
    DELETE FROM fetch_leases
    WHERE id IN (
        SELECT id FROM fetch_leases WHERE expires_at <= $1 OR id = ANY ($2::bigint[]) ORDER BY id FOR UPDATE
    )
    RETURNING job_id, symbol_id, span
)
INSERT INTO fetch_job_symbols AS s (job_id, symbol_id, remaining)
SELECT g.job_id, g.symbol_id, range_agg(g.span)
FROM gone AS g JOIN fetch_jobs AS j ON j.id = g.job_id AND j.state IN ('queued', 'running')
GROUP BY g.job_id, g.symbol_id
ON CONFLICT (job_id, symbol_id) DO UPDATE SET remaining = s.remaining + excluded.remaining
