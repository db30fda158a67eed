-- Of a database with hypertables: each table whose rows a backup takes by COPY, and what gives them. Bars stand in other
-- places on each storage tier, so they are taken from the views of them and named as those of plain and apache.
SELECT hypertable_name::text AS name, format('SELECT * FROM public.%I', hypertable_name) AS query
FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public'
UNION ALL
SELECT 'stored_' || name, format('SELECT * FROM public.bars_%s', name) FROM rollup_chain()
ORDER BY name
