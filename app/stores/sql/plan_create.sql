-- $1 exchange, $2 symbol ids, $3 and $4 the span, $5 now. A symbol gets a row only if minutes of it after its
-- horizon, and since it was listed, are not covered.
WITH job AS (
    INSERT INTO fetch_jobs (exchange, span, created_at) VALUES ($1, tstzrange($3, $4), $5) RETURNING id
), remaining AS (
    SELECT asked.symbol_id,
        tstzmultirange(tstzrange($3, $4)) - coalesce(c.covered, '{}')
            - tstzmultirange(tstzrange(NULL, greatest(e.listed_at, c.horizon, '-infinity'))) AS remaining
    FROM (SELECT DISTINCT unnest($2::int[]) AS symbol_id EXCEPT SELECT gone FROM symbols_joined) AS asked
    LEFT JOIN coverage AS c USING (symbol_id) LEFT JOIN symbol_exchange AS e ON e.id = asked.symbol_id
), planned AS (
    INSERT INTO fetch_job_symbols (job_id, symbol_id, remaining)
    SELECT job.id, r.symbol_id, r.remaining FROM job CROSS JOIN remaining AS r WHERE NOT isempty(r.remaining)
    RETURNING remaining
)
SELECT job.id,
    (SELECT coalesce(sum(extract(epoch FROM upper(piece) - lower(piece)) / 60), 0)::bigint
     FROM planned CROSS JOIN LATERAL unnest(planned.remaining) AS piece) AS minutes
FROM job
