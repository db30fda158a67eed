-- $1 job, $2 milliseconds, $3 how many. Markets whose first minute is to be looked for: it is not known, nobody looks for it
-- now, and more than $2 of them is left.
SELECT s.symbol_id
FROM fetch_job_symbols AS s JOIN symbol_exchange AS e ON e.id = s.symbol_id
WHERE s.job_id = $1 AND e.listed_at IS NULL AND NOT s.sought
    AND upper(s.remaining) - lower(s.remaining) > $2 * interval '1 millisecond'
    AND NOT EXISTS (SELECT FROM fetch_leases AS l WHERE l.symbol_id = s.symbol_id AND isempty(l.span))
ORDER BY s.symbol_id
LIMIT $3
