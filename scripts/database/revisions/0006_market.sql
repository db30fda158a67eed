-- What kind of market the candles are of, so that simulated ones never mix with real ones.

CREATE TABLE market_kind (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    kind text NOT NULL CHECK (kind IN ('real', 'simulated'))
);
COMMENT ON TABLE market_kind IS 'At most one row, written by the first start: whether this database holds real or simulated candles.';
COMMENT ON COLUMN market_kind.single IS 'Keeps it one row.';
COMMENT ON COLUMN market_kind.kind IS 'real or simulated; a start with the other MARKET is refused.';
