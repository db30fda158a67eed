-- For whoever runs the database without the program's own schedule: partitions ahead, bars, analytics as of now.
SELECT ensure_partitions(extract(year FROM now() AT TIME ZONE 'UTC')::int + 2);
CALL refresh_bars();
UPDATE clock_now SET now = now();
REFRESH MATERIALIZED VIEW CONCURRENTLY common_basequote_30;
REFRESH MATERIALIZED VIEW CONCURRENTLY geo_daily_return;
REFRESH MATERIALIZED VIEW CONCURRENTLY top_20_quoted_vol;
REFRESH MATERIALIZED VIEW CONCURRENTLY top_quoted_vol_by_quote;
REFRESH MATERIALIZED VIEW CONCURRENTLY weekly_return;
