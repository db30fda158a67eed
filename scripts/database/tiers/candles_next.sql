-- From plain: a hypertable beside candles, to be filled and then swapped in. Readers go on; writers wait.
-- A chunk is four weeks: 43,200 minutes of a symbol, about 5 MB with its index, so that the chunks being written stay
-- in memory for hundreds of symbols, and twenty years are 260 chunks, which a plan still carries easily.
LOCK TABLE candles IN SHARE MODE;
CREATE TABLE candles_next (LIKE candles INCLUDING COMMENTS INCLUDING INDEXES);
SELECT create_hypertable('candles_next', by_range('time', interval '28 days'), create_default_indexes => false);
