-- The tables and views of schema public whose rows TimescaleDB keeps in its own schema; NULL where there are none.
SELECT string_agg(name, ', ' ORDER BY name) FROM (
    SELECT hypertable_name AS name FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public'
    UNION
    SELECT view_name FROM timescaledb_information.continuous_aggregates WHERE view_schema = 'public'
) AS kept
