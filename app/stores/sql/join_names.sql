-- What the market ($1) was called before it was joined by another ($2), at $3; its minutes before $4 the exchange serves under
-- that name. Whatever belonged to the other one belongs to it, and the other one's names are free.
WITH former AS (
    INSERT INTO symbol_names (symbol_id, exchange, market_type, base_id, quote_id, symbol, native_base, native_quote,
        renamed_at, serves_before)
    SELECT id, exchange, market_type, base_id, quote_id, symbol, native_base, native_quote, $3, $4
    FROM symbol_exchange WHERE id = $1
), names AS (
    UPDATE symbol_names SET symbol_id = $1 WHERE symbol_id = $2
), joined AS (
    UPDATE symbols_joined SET into_id = $1 WHERE into_id = $2
), gone AS (
    INSERT INTO symbols_joined (gone, into_id) VALUES ($2, $1)
)
UPDATE symbol_exchange
SET delisted_at = CASE id WHEN $2 THEN $3 END,
    successor_of = CASE WHEN successor_of = $2 THEN nullif($1, id) ELSE successor_of END
WHERE id = $2 OR successor_of = $2
