-- $1 job, $2 symbol, $3 and $4 the page, $5 expiry, $6 worker.
WITH taken AS (
    UPDATE fetch_job_symbols SET remaining = remaining - tstzmultirange(tstzrange($3, $4))
    WHERE job_id = $1 AND symbol_id = $2
), running AS (
    UPDATE fetch_jobs SET state = 'running' WHERE id = $1 AND state = 'queued'
)
INSERT INTO fetch_leases (job_id, symbol_id, span, expires_at, worker)
VALUES ($1, $2, tstzrange($3, $4), $5, $6)
RETURNING id
