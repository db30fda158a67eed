-- How many minutes of symbols ($1) are in each state, day by day of UTC from $2 to $3 at the moment $4.
WITH pieces AS (
    SELECT id, r.state, day, piece
    FROM unnest($1::int[]) AS id
    CROSS JOIN LATERAL minute_regions(id, $2, $3, $4) AS r
    CROSS JOIN generate_series($2, $3 - interval '1 minute', interval '24 hours') AS day
    CROSS JOIN LATERAL unnest(r.minutes * tstzmultirange(tstzrange(day, day + interval '24 hours'))) AS piece
), counted AS MATERIALIZED (
    SELECT p.id, p.state, p.day, extract(epoch FROM upper(p.piece) - lower(p.piece))::bigint / 60 AS minutes, stored.n
    FROM pieces AS p
    CROSS JOIN LATERAL (
        SELECT count(*) AS n FROM bars_1min AS b
        WHERE b.symbol_id = p.id AND b.bucket >= lower(p.piece) AND b.bucket < upper(p.piece)
    ) AS stored
)
SELECT id, day, state, sum(minutes - n)::int FROM counted GROUP BY 1, 2, 3 HAVING sum(minutes - n) > 0
UNION ALL
SELECT id, day, 'present', sum(n)::int FROM counted GROUP BY 1, 2 HAVING sum(n) > 0
