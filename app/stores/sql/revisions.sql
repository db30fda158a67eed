-- $1 symbol, $2 and $3 a span of minutes, $4 the id after which to begin, $5 how many; in the order of the corrections.
SELECT r.id, r.time, r.open, r.high, r.low, r.close, r.volume, r.quote_volume, r.trades, r.source,
    revision_known_from(r.symbol_id, r.time, r.id, r.superseded_at), r.superseded_at
FROM candle_revisions AS r
WHERE r.symbol_id = $1 AND r.time >= $2 AND r.time < $3 AND r.id > $4
ORDER BY r.id LIMIT $5
