-- Numbers of the unfinished jobs that ask for any of symbols ($1); NULL where none does.
SELECT array_agg(j.id ORDER BY j.id) FROM fetch_jobs AS j
WHERE j.state IN ('queued', 'running') AND (
    EXISTS (SELECT FROM fetch_job_symbols AS s WHERE s.job_id = j.id AND s.symbol_id = ANY ($1) AND NOT isempty(s.remaining))
    OR EXISTS (SELECT FROM fetch_leases AS l WHERE l.job_id = j.id AND l.symbol_id = ANY ($1))
)
