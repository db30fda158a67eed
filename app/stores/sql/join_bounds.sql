-- Of the market that is joined ($2) into another ($1): since when the exchange has minutes that the former's name is asked for
-- ($3 now where nobody knows), whether a horizon lies over minutes that would have to move, and, as text, the minutes of both.
-- What comes after the last minute of $1 belongs to the time of $2: an answer of nothing under a name that had ended says
-- nothing of the other one.
WITH joined AS (
    SELECT least(date_trunc('minute', s.listed_at), oldest.time, $3) AS first,
        coalesce(horizon_of($2) > '-infinity' OR horizon_of($1) > oldest.time, false) AS cut
    FROM symbol_exchange AS s LEFT JOIN LATERAL (
        SELECT c.time FROM candles AS c WHERE c.symbol_id = $2 ORDER BY c.time LIMIT 1
    ) AS oldest ON true
    WHERE s.id = $2
)
SELECT least(joined.first, (
        SELECT c.time + interval '1 minute' FROM candles AS c WHERE c.symbol_id = $1 ORDER BY c.time DESC LIMIT 1
    )) AS since, joined.cut,
    (SELECT coalesce(range_agg(tstzrange(a.time, a.time + interval '1 minute')), '{}')::text
        FROM candles AS a JOIN candles AS b ON b.symbol_id = $2 AND b.time = a.time
        WHERE a.symbol_id = $1 AND a.time >= joined.first) AS both_have
FROM joined
