-- $1 job, $2 leases that are answered, $3 how many pages, $4 rows that were new or changed. What the job waited for has come.
WITH answered AS (
    DELETE FROM fetch_leases WHERE id = ANY ($2::bigint[])
)
UPDATE fetch_jobs
SET requests = requests + $3, rows_written = rows_written + $4,
    note = CASE WHEN state IN ('queued', 'running') THEN '' ELSE note END
WHERE id = $1
