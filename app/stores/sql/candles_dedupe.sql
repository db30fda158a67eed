-- Of several versions of a minute keep the one that would win if they were written one after the other, by the rule
-- of candles_correct.sql. In a table that was just emptied and filled, ctid is the order of arrival.
DELETE FROM staged_candles WHERE ctid NOT IN (
    SELECT DISTINCT ON (symbol_id, time) ctid
    FROM staged_candles
    ORDER BY symbol_id, time, source DESC, CASE WHEN source = 3 THEN ctid END DESC,
        volume DESC, coalesce(trades, -1) DESC, coalesce(quote_volume, -1) DESC, high DESC, low DESC, close DESC, open DESC
)
