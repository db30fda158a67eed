-- $1 lease of no minutes, $2 symbol, $3 its first minute by the exchange (or NULL): no job asks for what was before it.
-- A candle that is stored from an earlier time knows better.
WITH gone AS (
    DELETE FROM fetch_leases WHERE id = $1
), listed AS (
    UPDATE symbol_exchange AS e
    SET listed_at = least($3, (SELECT min(c.time) FROM candles AS c WHERE c.symbol_id = $2 AND c.time < $3))
    WHERE e.id = $2 AND $3::timestamptz IS NOT NULL
    RETURNING e.listed_at
), before AS (
    SELECT s.job_id, s.remaining * tstzmultirange(tstzrange(NULL, listed.listed_at)) AS minutes
    FROM fetch_job_symbols AS s CROSS JOIN listed WHERE s.symbol_id = $2
), trimmed AS (
    UPDATE fetch_job_symbols AS s SET sought = true, remaining = s.remaining - coalesce(before.minutes, '{}')
    FROM fetch_job_symbols AS mine LEFT JOIN before ON before.job_id = mine.job_id
    WHERE mine.symbol_id = $2 AND s.job_id = mine.job_id AND s.symbol_id = $2
)
UPDATE fetch_jobs AS j
SET minutes_total = j.minutes_total - (
    SELECT coalesce(sum(extract(epoch FROM upper(piece) - lower(piece)) / 60), 0)::bigint FROM unnest(before.minutes) AS piece
)
FROM before WHERE before.job_id = j.id AND j.state IN ('queued', 'running')
