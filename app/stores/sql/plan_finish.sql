-- $1 job, $2 now. Forget what was covered meanwhile; close the job if nothing is left and nothing is leased.
WITH settled AS (
    DELETE FROM fetch_job_symbols AS s
    WHERE s.job_id = $1
        AND s.remaining <@ coalesce((SELECT c.covered FROM coverage AS c WHERE c.symbol_id = s.symbol_id), '{}')
    RETURNING s.symbol_id
)
UPDATE fetch_jobs AS j
SET state = CASE WHEN errors = 0 THEN 'done' ELSE 'failed' END, finished_at = $2,
    note = CASE WHEN errors = 0 THEN note ELSE errors || ' pages were refused; see ohlcvs_errors' END
WHERE j.id = $1 AND j.state IN ('queued', 'running')
    AND NOT EXISTS (SELECT FROM fetch_leases AS l WHERE l.job_id = $1)
    AND NOT EXISTS (
        SELECT FROM fetch_job_symbols AS s
        WHERE s.job_id = $1 AND s.symbol_id NOT IN (SELECT symbol_id FROM settled)
    )
