-- Candles that the seven days after $1 bring: one a minute of each market that was answered within the day before, and at most
-- all that is left of the fetches under way.
SELECT 7 * 1440 * (SELECT count(*) FROM coverage WHERE upper(covered) > $1::timestamptz - interval '1 day')
    + (SELECT coalesce(sum(extract(epoch FROM upper(piece) - lower(piece)) / 60), 0)::bigint FROM (
        SELECT unnest(s.remaining - coalesce(c.covered, '{}')) AS piece
        FROM fetch_jobs AS j JOIN fetch_job_symbols AS s ON s.job_id = j.id LEFT JOIN coverage AS c USING (symbol_id)
        WHERE j.state IN ('queued', 'running')
        UNION ALL
        SELECT l.span FROM fetch_leases AS l JOIN fetch_jobs AS j ON j.id = l.job_id WHERE j.state IN ('queued', 'running')
    ) AS pieces)
