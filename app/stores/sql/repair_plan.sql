-- $1 exchange, $2 symbol ids, $3 starts and $4 ends, $5 now, $6 note. A job for those minutes that are neither covered nor
-- dropped nor leased nor part of a job under way; no row where none is left.
WITH asked AS (
    SELECT symbol_id, range_agg(tstzrange(starts, ends)) AS minutes
    FROM unnest($2::int[], $3::timestamptz[], $4::timestamptz[]) AS asked (symbol_id, starts, ends) GROUP BY symbol_id
), remaining AS (
    SELECT a.symbol_id, a.minutes * tstzmultirange(tstzrange(c.horizon, NULL)) - coalesce(c.covered, '{}') - coalesce((
            SELECT range_agg(l.span) FROM fetch_leases AS l WHERE l.symbol_id = a.symbol_id), '{}') - coalesce((
            SELECT range_agg(s.remaining) FROM fetch_job_symbols AS s JOIN fetch_jobs AS j ON j.id = s.job_id
            WHERE s.symbol_id = a.symbol_id AND j.state IN ('queued', 'running')), '{}') AS minutes
    FROM asked AS a LEFT JOIN coverage AS c USING (symbol_id)
), job AS (
    INSERT INTO fetch_jobs (exchange, span, created_at, minutes_total, note)
    SELECT $1, tstzrange(min(lower(r.minutes)), max(upper(r.minutes))), $5,
        sum((SELECT sum(extract(epoch FROM upper(piece) - lower(piece))) / 60 FROM unnest(r.minutes) AS piece)), $6
    FROM remaining AS r WHERE NOT isempty(r.minutes) HAVING count(*) > 0
    RETURNING id
), planned AS (
    INSERT INTO fetch_job_symbols (job_id, symbol_id, remaining)
    SELECT job.id, r.symbol_id, r.minutes FROM job CROSS JOIN remaining AS r WHERE NOT isempty(r.minutes)
)
SELECT id FROM job
