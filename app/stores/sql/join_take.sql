-- The market ($1) is called as the one that was joined to it ($2), and is listed as that one is.
UPDATE symbol_exchange AS s
SET base_id = o.base_id, quote_id = o.quote_id, symbol = o.symbol, native_base = o.native_base,
    native_quote = o.native_quote, is_trading = o.is_trading, tick_size = o.tick_size, price_decimals = o.price_decimals,
    amount_decimals = o.amount_decimals, last_seen = o.last_seen, first_seen = least(s.first_seen, o.first_seen),
    listed_at = CASE WHEN s.listed_at IS NOT NULL THEN least(s.listed_at, o.listed_at) END
FROM symbol_exchange AS o WHERE s.id = $1 AND o.id = $2
