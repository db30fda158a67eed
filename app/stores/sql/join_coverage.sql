-- What was asked and answered of the joined market ($2) is so of the other one ($1): each name answers for its own time, the
-- latter's before $3 and the former's after it. Minutes of $1 after $3 that have a candle stay answered; those that were
-- answered with nothing are not wanted any more unless of $2.
WITH own AS (SELECT * FROM coverage WHERE symbol_id = $1), other AS (
    DELETE FROM coverage WHERE symbol_id = $2 RETURNING *
), stored AS (
    SELECT tstzmultirange(tstzrange(NULL, $3))
        + coalesce(range_agg(tstzrange(time, time + interval '1 minute')), '{}') AS minutes
    FROM candles WHERE symbol_id = $1 AND time >= $3
), parts AS (
    SELECT coalesce(own.covered * stored.minutes, '{}') AS before,
        coalesce(other.covered * tstzmultirange(tstzrange($3, NULL)), '{}') AS after,
        coalesce(own.wanted - (own.covered - stored.minutes), '{}') + coalesce(other.wanted, '{}')
            - tstzmultirange(tstzrange(NULL, coalesce(own.horizon, '-infinity'))) AS wanted,
        own.audited_until AS own_audited, other.audited_until AS other_audited
    FROM (SELECT) AS one LEFT JOIN own ON true LEFT JOIN other ON true CROSS JOIN stored
), audited AS (
    -- The moment before which every answered minute of both was looked at again.
    SELECT parts.*, least(
        CASE WHEN isempty(before) OR upper(before) <= own_audited THEN 'infinity' ELSE coalesce(own_audited, '-infinity') END,
        CASE WHEN isempty(after) OR upper(after) <= other_audited THEN 'infinity' ELSE coalesce(other_audited, '-infinity') END
    ) AS until FROM parts
)
INSERT INTO coverage AS c (symbol_id, covered, wanted, audited_until)
SELECT $1, before + after, wanted, CASE until WHEN 'infinity' THEN greatest(own_audited, other_audited)
    WHEN '-infinity' THEN NULL ELSE until END
FROM audited
ON CONFLICT (symbol_id) DO UPDATE
SET covered = excluded.covered, wanted = excluded.wanted, audited_until = excluded.audited_until
