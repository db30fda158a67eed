-- The version of TimescaleDB that CREATE EXTENSION would take (NULL: the server has none), and whether the server has
-- loaded its library at its start: then it knows TimescaleDB's settings in every database.
SELECT (SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb') AS version,
    current_setting('timescaledb.disable_load', true) IS NOT NULL AS loaded
