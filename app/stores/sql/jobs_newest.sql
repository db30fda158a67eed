-- Fetches that are not over, and of the others so many ($1) that were made last; the newest first.
WITH chosen AS (
    (SELECT * FROM fetch_jobs WHERE state IN ('queued', 'running'))
    UNION
    (SELECT * FROM fetch_jobs WHERE state NOT IN ('queued', 'running') ORDER BY id DESC LIMIT $1)
)
SELECT j.id, j.exchange, lower(j.span), upper(j.span), j.state, j.created_at,
    j.minutes_total,
    (SELECT coalesce(sum(extract(epoch FROM upper(piece) - lower(piece)) / 60), 0)::bigint FROM (
        SELECT unnest(s.remaining - coalesce(c.covered, '{}')) AS piece
        FROM fetch_job_symbols AS s LEFT JOIN coverage AS c ON c.symbol_id = s.symbol_id
        WHERE s.job_id = j.id AND j.state IN ('queued', 'running')
        UNION ALL
        SELECT span FROM fetch_leases WHERE job_id = j.id
    ) AS pieces) AS minutes_left,
    j.rows_written, j.requests, (SELECT count(*)::int FROM fetch_leases WHERE job_id = j.id) AS leased, j.errors, j.note
FROM chosen AS j ORDER BY j.id DESC
