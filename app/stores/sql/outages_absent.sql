-- Of symbol $1, the minutes without a candle within spans: $2 starts and $3 ends in milliseconds. Only the neighbourhoods
-- of the spans are read.
WITH asked AS MATERIALIZED (
    SELECT range_agg(tstzrange(starts, ends)) AS minutes,
        range_agg(tstzrange(starts - interval '1 hour', ends + interval '1 hour')) AS hulls
    FROM (
        SELECT to_timestamp(starts / 1000::double precision) AS starts, to_timestamp(ends / 1000::double precision) AS ends
        FROM unnest($2::bigint[], $3::bigint[]) AS given (starts, ends)
    ) AS spans
)
SELECT lower(hole), upper(hole)
FROM asked CROSS JOIN LATERAL unnest(asked.hulls) AS hull
CROSS JOIN LATERAL unnest(absent_minutes($1, lower(hull), upper(hull)) * asked.minutes) AS hole
ORDER BY 1
