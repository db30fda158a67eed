-- By exchange: wanted minutes that are not answered and not settling any more, and outages that are known.
SELECT s.exchange, sum(extract(epoch FROM upper(gap) - lower(gap)))::bigint / 60 AS gaps, 0::bigint AS outages
FROM coverage AS c JOIN symbol_exchange AS s ON s.id = c.symbol_id
CROSS JOIN LATERAL unnest(
    (c.wanted - c.covered) * tstzmultirange(tstzrange(NULL, present_minute() - interval '5 minutes'))
) AS gap
WHERE NOT c.wanted <@ c.covered
GROUP BY s.exchange
UNION ALL
SELECT exchange, 0, count(*) FROM exchange_outages GROUP BY exchange
