-- Before many pages of a market are asked for, its first minute is looked for, so that nobody pages through years without it.

ALTER TABLE fetch_job_symbols ADD COLUMN sought boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN fetch_job_symbols.sought IS 'The market''s first minute was looked for, and found or not.';
COMMENT ON COLUMN symbol_exchange.listed_at IS 'The first minute that the exchange has candles of, where known; set it to NULL to have it looked for again.';
COMMENT ON COLUMN fetch_leases.span IS 'The page''s minutes; empty while the market''s first minute is looked for.';
