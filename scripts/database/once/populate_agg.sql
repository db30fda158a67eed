-- Brings every stored bar and every analytics view up to date. The program does this by itself; running it by hand,
-- once or many times, is harmless:  \i scripts/database/once/populate_agg.sql
CALL refresh_bars();
REFRESH MATERIALIZED VIEW common_basequote_30;
REFRESH MATERIALIZED VIEW geo_daily_return;
REFRESH MATERIALIZED VIEW top_20_quoted_vol;
REFRESH MATERIALIZED VIEW top_quoted_vol_by_quote;
REFRESH MATERIALIZED VIEW weekly_return;
