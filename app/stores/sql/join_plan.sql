-- What jobs have left of the joined market ($2) they have left of the other one ($1). A page that is being asked for goes back to
-- its job: whoever asks cannot store it under that id. What is being asked for under $1 is not asked for twice.
WITH leases AS (
    DELETE FROM fetch_leases WHERE symbol_id = $2 RETURNING job_id, span
), planned AS (
    DELETE FROM fetch_job_symbols WHERE symbol_id = $2 RETURNING job_id, remaining, sought
), left_over AS (
    SELECT job_id, range_agg(minutes) AS remaining, bool_or(sought) AS sought FROM (
        SELECT l.job_id, tstzmultirange(l.span) AS minutes, false AS sought FROM leases AS l
        UNION ALL SELECT p.job_id, p.remaining, p.sought FROM planned AS p
    ) AS pieces GROUP BY job_id
)
INSERT INTO fetch_job_symbols AS s (job_id, symbol_id, remaining, sought)
SELECT job_id, $1,
    remaining - coalesce((SELECT range_agg(l.span) FROM fetch_leases AS l WHERE l.symbol_id = $1), '{}'), sought
FROM left_over
ON CONFLICT (job_id, symbol_id) DO UPDATE
SET remaining = s.remaining + excluded.remaining, sought = s.sought AND excluded.sought
