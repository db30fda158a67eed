-- $1 job, $2 symbols, $3 starts and $4 ends of their pages in milliseconds, $5 expiry, $6 worker.
WITH page AS (
    SELECT symbol_id, tstzrange(
        to_timestamp(starts / 1000::double precision), to_timestamp(ends / 1000::double precision)) AS span, place
    FROM unnest($2::int[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS one (symbol_id, starts, ends, place)
), taken AS (
    UPDATE fetch_job_symbols AS s SET remaining = s.remaining - t.spans
    FROM (SELECT symbol_id, range_agg(span) AS spans FROM page GROUP BY symbol_id) AS t
    WHERE s.job_id = $1 AND s.symbol_id = t.symbol_id
), running AS (
    UPDATE fetch_jobs SET state = 'running' WHERE id = $1 AND state = 'queued'
)
INSERT INTO fetch_leases (job_id, symbol_id, span, expires_at, worker)
SELECT $1, symbol_id, span, $5, $6 FROM page ORDER BY place
RETURNING id, symbol_id, lower(span), upper(span)
