-- $1 exchange, $2 symbol, $3 and $4 the span, $5 class, $6 message, $7 status, $8 section, $9 symbol id, which may have been joined
-- to another meanwhile, $10 now.
INSERT INTO ohlcvs_errors AS e
    (exchange, symbol, start_date, end_date, exception_class, exception_message, resp_status_code, ohlcv_section,
    symbol_id, first_at, last_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, coalesce((SELECT into_id FROM symbols_joined WHERE gone = $9), $9), $10, $10)
ON CONFLICT (exception_class, exchange, symbol, start_date, end_date, time_frame) DO UPDATE
SET attempts = e.attempts + 1, last_at = excluded.last_at, repaired_at = NULL,
    exception_message = excluded.exception_message, resp_status_code = excluded.resp_status_code,
    symbol_id = excluded.symbol_id
