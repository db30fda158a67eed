-- $1 job, $2 how many, $3 milliseconds (or NULL). The newest piece of each symbol, newest symbols first, that nobody has
-- leased and no exchange has answered for since the job was made. What plan_seek.sql names by $3 is not among them.
SELECT s.symbol_id, lower(newest.piece) AS starts, upper(newest.piece) AS ends
FROM fetch_job_symbols AS s
LEFT JOIN symbol_exchange AS e ON e.id = s.symbol_id
LEFT JOIN coverage AS c ON c.symbol_id = s.symbol_id
CROSS JOIN LATERAL (
    SELECT piece
    FROM unnest(s.remaining - coalesce(c.covered, '{}') - coalesce(
        (SELECT range_agg(l.span) FROM fetch_leases AS l WHERE l.symbol_id = s.symbol_id), '{}')) AS piece
    ORDER BY piece DESC LIMIT 1
) AS newest
WHERE s.job_id = $1 AND NOT (
    $3::bigint IS NOT NULL AND e.id IS NOT NULL AND e.listed_at IS NULL AND NOT s.sought
    AND upper(s.remaining) - lower(s.remaining) > $3 * interval '1 millisecond'
)
ORDER BY upper(s.remaining) DESC, s.symbol_id
LIMIT $2
