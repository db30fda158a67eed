-- Put all that symbol $1 has into the ledger, a span for each year: from its first minute or stored bar to its last.
INSERT INTO rollup_dirty (symbol_id, span)
SELECT $1, tstzrange(greatest(year, starts), least(year + interval '8784 hours', ends))
FROM (
    SELECT least((SELECT bucket FROM bars_1min WHERE symbol_id = $1 ORDER BY bucket LIMIT 1),
            (SELECT bucket FROM bars_1month WHERE symbol_id = $1 ORDER BY bucket LIMIT 1)) AS starts,
        greatest((SELECT bucket + interval '1 minute' FROM bars_1min WHERE symbol_id = $1 ORDER BY bucket DESC LIMIT 1),
            (SELECT bucket_1month_end(bucket) FROM bars_1month WHERE symbol_id = $1 ORDER BY bucket DESC LIMIT 1)) AS ends
) AS held
CROSS JOIN LATERAL generate_series(starts, ends - interval '1 minute', interval '8784 hours') AS year
