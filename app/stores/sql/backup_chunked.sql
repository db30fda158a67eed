-- The tables and views of schema public whose rows TimescaleDB keeps in its own schema.
SELECT hypertable_name::text AS name FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public'
UNION
SELECT view_name FROM timescaledb_information.continuous_aggregates WHERE view_schema = 'public'
ORDER BY name
