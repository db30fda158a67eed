-- $1 job, $2 how many. The newest piece of each symbol, newest symbols first, that nobody has leased and no exchange has
-- answered for since the job was made.
SELECT s.symbol_id, lower(newest.piece) AS starts, upper(newest.piece) AS ends
FROM fetch_job_symbols AS s
LEFT JOIN coverage AS c ON c.symbol_id = s.symbol_id
CROSS JOIN LATERAL (
    SELECT piece
    FROM unnest(s.remaining - coalesce(c.covered, '{}') - coalesce(
        (SELECT range_agg(l.span) FROM fetch_leases AS l WHERE l.symbol_id = s.symbol_id), '{}')) AS piece
    ORDER BY piece DESC LIMIT 1
) AS newest
WHERE s.job_id = $1
ORDER BY upper(s.remaining) DESC, s.symbol_id
LIMIT $2
