-- A market that goes by this word now; else the one that did last. Its own name goes before base and quote written together.
SELECT id FROM (
    SELECT s.id, false AS former, s.symbol = $2 AS own, s.id AS place
    FROM symbol_exchange AS s
    WHERE s.exchange = $1 AND s.market_type = 'spot' AND s.delisted_at IS NULL
        AND $2 IN (s.symbol, s.base_id || s.quote_id, s.base_id || '/' || s.quote_id)
    UNION ALL
    SELECT s.id, true, n.symbol = $2, -n.id
    FROM symbol_names AS n JOIN symbol_exchange AS s ON s.id = n.symbol_id AND s.delisted_at IS NULL
    WHERE n.exchange = $1 AND n.market_type = 'spot'
        AND $2 IN (n.symbol, n.base_id || n.quote_id, n.base_id || '/' || n.quote_id)
) AS found
ORDER BY former, own DESC, place
LIMIT 1
