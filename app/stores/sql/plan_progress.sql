-- $1 job.
SELECT j.state, j.minutes_total,
    (SELECT coalesce(sum(extract(epoch FROM upper(piece) - lower(piece)) / 60), 0)::bigint FROM (
        SELECT unnest(s.remaining - coalesce(c.covered, '{}')) AS piece
        FROM fetch_job_symbols AS s LEFT JOIN coverage AS c ON c.symbol_id = s.symbol_id WHERE s.job_id = j.id
        UNION ALL
        SELECT span FROM fetch_leases WHERE job_id = j.id
    ) AS pieces) AS minutes_left,
    j.rows_written, j.requests, (SELECT count(*)::int FROM fetch_leases WHERE job_id = j.id) AS leased, j.errors, j.note
FROM fetch_jobs AS j WHERE j.id = $1
