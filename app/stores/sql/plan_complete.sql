-- $1 job, $2 leases that are answered, $3 how many pages, $4 rows that were new or changed. What the job waited for has come.
-- Whoever changes leases locks them by ascending id and their job after them, so that nobody waits in a circle.
WITH answered AS (
    DELETE FROM fetch_leases
    WHERE id IN (SELECT id FROM fetch_leases WHERE id = ANY ($2::bigint[]) ORDER BY id FOR UPDATE)
    RETURNING id
)
UPDATE fetch_jobs
SET requests = requests + $3, rows_written = rows_written + $4,
    note = CASE WHEN state IN ('queued', 'running') THEN '' ELSE note END
WHERE id = $1 AND (SELECT count(*) FROM answered) >= 0
