-- $1 symbol, $2 and $3 a span: minutes that were answered for and have no candle, but are still kept.
SELECT lower(hole), upper(hole)
FROM coverage AS c CROSS JOIN LATERAL unnest(
    c.covered * tstzmultirange(tstzrange(c.horizon, NULL)) * absent_minutes(c.symbol_id, $2, $3)) AS hole
WHERE c.symbol_id = $1
