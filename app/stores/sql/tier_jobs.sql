-- People's own scheduled jobs of TimescaleDB (its own have ids below 1000), its background workers, PostgreSQL's
-- processes, and how many of these PostgreSQL itself may want.
SELECT (SELECT count(*) FROM timescaledb_information.jobs WHERE scheduled AND job_id >= 1000) AS jobs,
    coalesce(current_setting('timescaledb.max_background_workers', true), '0')::int AS workers,
    current_setting('max_worker_processes')::int AS processes,
    current_setting('max_parallel_workers')::int + 3 AS others
