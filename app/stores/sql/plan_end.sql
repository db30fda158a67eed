-- $1 job, $2 its last state, $3 why (or NULL), $4 now. Nobody asks for its pages any more; what is stored stays.
WITH free AS (
    DELETE FROM fetch_leases
    WHERE id IN (SELECT id FROM fetch_leases WHERE job_id = $1 ORDER BY id FOR UPDATE)
    RETURNING id
)
UPDATE fetch_jobs SET state = $2, note = coalesce($3, note), finished_at = $4
WHERE id = $1 AND state IN ('queued', 'running') AND (SELECT count(*) FROM free) >= 0
