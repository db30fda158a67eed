-- Analytics: materialized, populated from the first moment, refreshed by the program with its own clock.

CREATE TABLE clock_now (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    now timestamptz NOT NULL
);
INSERT INTO clock_now (now) VALUES ('2000-01-03 00:00:00+00');
COMMENT ON TABLE clock_now IS 'One row: the program''s time at the last refresh of the analytics. They never ask the server''s clock.';
COMMENT ON COLUMN clock_now.single IS 'Keeps it one row.';
COMMENT ON COLUMN clock_now.now IS 'What the analytics take for now.';

CREATE TABLE usd_like (quote_id text PRIMARY KEY);
INSERT INTO usd_like VALUES ('USD'), ('USDT'), ('USDC'), ('BUSD'), ('TUSD'), ('FDUSD'), ('DAI'), ('USDP'), ('PAX'),
    ('GUSD'), ('PYUSD'), ('USDS'), ('USD1');
COMMENT ON TABLE usd_like IS 'Currencies counted as one US dollar. Edit it freely; the next refresh obeys.';
COMMENT ON COLUMN usd_like.quote_id IS 'As in symbol_exchange.';

CREATE VIEW spot_listed AS
SELECT id, exchange, base_id, quote_id, is_trading FROM symbol_exchange WHERE market_type = 'spot' AND delisted_at IS NULL;
COMMENT ON VIEW spot_listed IS 'Spot markets that are not delisted: one row for each (exchange, base_id, quote_id).';

CREATE MATERIALIZED VIEW common_basequote_30 AS
SELECT base_id, quote_id FROM spot_listed WHERE is_trading
GROUP BY base_id, quote_id HAVING count(DISTINCT exchange) >= 2
ORDER BY base_id, quote_id LIMIT 30;
CREATE UNIQUE INDEX common_basequote_30_idx ON common_basequote_30 (base_id, quote_id);
COMMENT ON MATERIALIZED VIEW common_basequote_30 IS 'Pairs that trade on at least two exchanges, alphabetical, the first 30.';
COMMENT ON COLUMN common_basequote_30.base_id IS 'As in symbol_exchange.';
COMMENT ON COLUMN common_basequote_30.quote_id IS 'As in symbol_exchange.';

CREATE MATERIALIZED VIEW weekly_return AS
WITH week AS (
    SELECT date_trunc('minute', now) - interval '168 hours' AS starts, date_trunc('minute', now) AS ends FROM clock_now
)
SELECT week.starts AS time, s.exchange, s.base_id, s.quote_id,
    round(((newest.close - oldest.open) / oldest.open * 100)::numeric, 4) AS weekly_return_pct
FROM spot_listed AS s CROSS JOIN week
CROSS JOIN LATERAL (
    SELECT c.open FROM candles AS c
    WHERE c.symbol_id = s.id AND c.time >= week.starts AND c.time < week.ends ORDER BY c.time LIMIT 1
) AS oldest
CROSS JOIN LATERAL (
    SELECT c.close FROM candles AS c
    WHERE c.symbol_id = s.id AND c.time >= week.starts AND c.time < week.ends ORDER BY c.time DESC LIMIT 1
) AS newest
WHERE oldest.open <> 0
ORDER BY weekly_return_pct DESC;
CREATE UNIQUE INDEX wr_idx ON weekly_return (exchange, base_id, quote_id, time);
COMMENT ON MATERIALIZED VIEW weekly_return IS 'Change over the trailing seven days: first open to last close.';
COMMENT ON COLUMN weekly_return.time IS 'Where the seven days begin.';
COMMENT ON COLUMN weekly_return.weekly_return_pct IS 'Percent.';

CREATE MATERIALIZED VIEW geo_daily_return AS
WITH week AS (
    SELECT bucket_daily(now) - interval '168 hours' AS starts, bucket_daily(now) AS ends FROM clock_now
), grown AS (
    SELECT s.exchange, s.base_id, s.quote_id, newest.close AS ended,
        coalesce(prior.close, oldest.open) AS began,
        CASE WHEN prior.close IS NULL THEN extract(epoch FROM week.ends - oldest.bucket) / 86400 ELSE 7 END AS days
    FROM spot_listed AS s CROSS JOIN week
    CROSS JOIN LATERAL (
        SELECT d.close FROM exact_daily(s.id, week.starts, week.ends) AS d ORDER BY d.bucket DESC LIMIT 1
    ) AS newest
    CROSS JOIN LATERAL (
        SELECT d.bucket, d.open FROM exact_daily(s.id, week.starts, week.ends) AS d ORDER BY d.bucket LIMIT 1
    ) AS oldest
    LEFT JOIN LATERAL (
        SELECT d.close FROM exact_daily(s.id, week.starts - interval '720 hours', week.starts) AS d
        ORDER BY d.bucket DESC LIMIT 1
    ) AS prior ON true
)
SELECT exchange, base_id, quote_id,
    round(((power(ended / began, 1 / days::float8) - 1) * 100)::numeric, 4) AS daily_return_pct
FROM grown WHERE began > 0 AND ended > 0
ORDER BY daily_return_pct DESC;
CREATE UNIQUE INDEX geo_dr_idx ON geo_daily_return (exchange, base_id, quote_id);
COMMENT ON MATERIALIZED VIEW geo_daily_return IS
    'Geometric mean of the daily returns of the last seven complete UTC days. A day without trades carries the close before it (at most 30 days back); a market that began within the week counts from its first open.';
COMMENT ON COLUMN geo_daily_return.daily_return_pct IS 'Percent a day.';

CREATE VIEW traded_last_week AS
SELECT s.exchange, s.base_id, s.quote_id, sum(h.volume) AS volume,
    sum(coalesce(h.quote_volume, h.volume * h.close::numeric)) AS quote_volume
FROM spot_listed AS s CROSS JOIN clock_now AS clock
CROSS JOIN LATERAL exact_1hour(s.id, bucket_1hour(clock.now) - interval '168 hours', bucket_1hour_end(clock.now)) AS h
GROUP BY s.exchange, s.base_id, s.quote_id;
COMMENT ON VIEW traded_last_week IS 'What was traded in the last 168 complete hours and the running one.';
COMMENT ON COLUMN traded_last_week.volume IS 'In base currency.';
COMMENT ON COLUMN traded_last_week.quote_volume IS
    'In quote currency: as the exchange tells it, else each hour''s volume times its close.';

CREATE VIEW usd_rate AS
SELECT DISTINCT ON (currency) currency, usd FROM (
    SELECT quote_id AS currency, 1::numeric AS usd, 1 AS preference FROM usd_like
    UNION ALL
    SELECT base_id, sum(quote_volume) / sum(volume), 2 FROM traded_last_week
    WHERE quote_id IN (SELECT quote_id FROM usd_like) GROUP BY base_id HAVING sum(volume) > 0
    UNION ALL
    SELECT quote_id, sum(volume) / sum(quote_volume), 3 FROM traded_last_week
    WHERE base_id IN (SELECT quote_id FROM usd_like) GROUP BY quote_id HAVING sum(quote_volume) > 0
) AS rates ORDER BY currency, preference;
COMMENT ON VIEW usd_rate IS
    'US dollars for one unit of a currency: the week''s volume-weighted price against the currencies of usd_like, over all exchanges.';
COMMENT ON COLUMN usd_rate.currency IS 'As in symbol_exchange.';
COMMENT ON COLUMN usd_rate.usd IS 'Dollars.';

CREATE MATERIALIZED VIEW top_20_quoted_vol AS
WITH valued AS (
    SELECT t.base_id || '-' || t.quote_id AS pair, sum(t.quote_volume * r.usd) AS usd
    FROM traded_last_week AS t JOIN usd_rate AS r ON r.currency = t.quote_id
    GROUP BY pair
), ranked AS (
    SELECT pair, usd, row_number() OVER (ORDER BY usd DESC, pair) AS place FROM valued WHERE usd > 0
)
SELECT CASE WHEN place <= 20 THEN pair ELSE 'Other' END AS bqgrp, round(sum(usd), 4) AS total_volume
FROM ranked GROUP BY bqgrp ORDER BY total_volume DESC;
CREATE UNIQUE INDEX top_20_qvlm_idx ON top_20_quoted_vol (bqgrp);
COMMENT ON MATERIALIZED VIEW top_20_quoted_vol IS
    'Pairs by what was traded last week over all exchanges, in US dollars: twenty by name, the rest as Other. Pairs whose quote currency has no usd_rate stand in top_quoted_vol_by_quote alone.';
COMMENT ON COLUMN top_20_quoted_vol.bqgrp IS 'BASE-QUOTE, or Other.';
COMMENT ON COLUMN top_20_quoted_vol.total_volume IS 'US dollars.';

CREATE MATERIALIZED VIEW top_quoted_vol_by_quote AS
WITH ranked AS (
    SELECT quote_id, base_id || '-' || quote_id AS pair, sum(quote_volume) AS quoted,
        row_number() OVER (PARTITION BY quote_id ORDER BY sum(quote_volume) DESC, base_id) AS place
    FROM traded_last_week WHERE quote_volume > 0 GROUP BY quote_id, base_id
)
SELECT quote_id, CASE WHEN place <= 20 THEN pair ELSE 'Other' END AS bqgrp, round(sum(quoted), 4) AS total_volume
FROM ranked GROUP BY quote_id, bqgrp ORDER BY quote_id, total_volume DESC;
CREATE UNIQUE INDEX top_quoted_vol_by_quote_idx ON top_quoted_vol_by_quote (quote_id, bqgrp);
COMMENT ON MATERIALIZED VIEW top_quoted_vol_by_quote IS
    'The same for each quote currency in itself: twenty pairs by name, the rest as Other.';
COMMENT ON COLUMN top_quoted_vol_by_quote.quote_id IS 'What total_volume is counted in.';
COMMENT ON COLUMN top_quoted_vol_by_quote.bqgrp IS 'BASE-QUOTE, or Other.';
COMMENT ON COLUMN top_quoted_vol_by_quote.total_volume IS 'In quote_id.';
