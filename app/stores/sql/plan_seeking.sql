-- $1 job, $2 symbols, $3 expiry, $4 worker. A lease of no minutes: who holds it looks for the market's first one.
WITH running AS (
    UPDATE fetch_jobs SET state = 'running' WHERE id = $1 AND state = 'queued'
)
INSERT INTO fetch_leases (job_id, symbol_id, span, expires_at, worker)
SELECT $1, symbol_id, 'empty', $3, $4 FROM unnest($2::int[]) AS symbol_id
RETURNING id, symbol_id
