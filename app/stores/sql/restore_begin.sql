-- The first half of a restore, run by psql; the archive's statements follow in the same transaction.
-- What is raised here begins with `candlehouse: ` and is for people. candlehouse.replace is set before.
BEGIN;
SET LOCAL lock_timeout = '15s';
SELECT pg_advisory_xact_lock(7310001);

DO $do$
DECLARE
    ours oid[];
    continuous oid[] := '{}';
    one oid;
    held boolean := false;
    busy text;
    drops text[];
    statement text;
    elsewhere text := $names$
        SELECT array_agg(name) FROM (
            SELECT oid::regclass::text AS name, relnamespace AS schema FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
            UNION ALL SELECT oid::regprocedure::text, pronamespace FROM pg_proc
            UNION ALL SELECT conname || ' of ' || conrelid::regclass, connamespace FROM pg_constraint WHERE conrelid <> 0
        ) AS found JOIN pg_namespace AS n ON n.oid = schema
        WHERE nspname NOT IN ('public', 'pg_catalog', 'information_schema')
            AND nspname !~ '^(pg_toast|pg_temp|_timescaledb|timescaledb)'
    $names$;
    before text[];
    after text[];
BEGIN
    -- Whoever comes now waits until the end, and then finds what was restored.
    SELECT array_agg(oid ORDER BY relname) INTO ours FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
        AND oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e');
    FOREACH one IN ARRAY coalesce(ours, '{}') LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', one::regclass);
    END LOOP;

    -- Whoever came before may remember numbers of markets, and these mean others after a restore.
    SELECT string_agg(DISTINCT application_name, ', ') INTO busy FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND (application_name = 'candlehouse' OR application_name LIKE 'candlehouse %')
        AND application_name NOT IN ('candlehouse psql', 'candlehouse backup', 'candlehouse restore');
    IF busy IS NOT NULL THEN
        RAISE EXCEPTION 'candlehouse: busy: %', busy;
    END IF;

    IF to_regclass('public.candles') IS NOT NULL AND current_setting('candlehouse.replace') <> 'yes' THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM public.candles)' INTO held;
    END IF;
    IF held THEN
        RAISE EXCEPTION 'candlehouse: held:';
    END IF;

    -- TimescaleDB's aggregates look like views and are dropped as what they are, the youngest first: CASCADE does not
    -- reach from one to those that are made from it.
    IF to_regclass('timescaledb_information.continuous_aggregates') IS NOT NULL THEN
        EXECUTE $continuous$
            SELECT coalesce(array_agg(format('%I.%I', view_schema, view_name)::regclass::oid), '{}')
            FROM timescaledb_information.continuous_aggregates WHERE view_schema = 'public'
        $continuous$ INTO continuous;
    END IF;

    WITH of_extensions AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e')
    SELECT array_agg(drop ORDER BY place, oid DESC) INTO drops FROM (
        SELECT CASE WHEN oid = ANY (continuous) THEN 1 WHEN relkind = 'S' THEN 3 ELSE 2 END AS place, oid,
            format('DROP %s IF EXISTS %s CASCADE', CASE WHEN oid = ANY (continuous) OR relkind = 'm' THEN 'MATERIALIZED VIEW'
                WHEN relkind = 'v' THEN 'VIEW' WHEN relkind = 'f' THEN 'FOREIGN TABLE' WHEN relkind = 'S' THEN 'SEQUENCE'
                ELSE 'TABLE' END, oid::regclass) AS drop
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT relispartition
            AND ('pg_class'::regclass, oid) NOT IN (SELECT * FROM of_extensions)
        UNION ALL
        SELECT 2, oid, format('DROP ROUTINE IF EXISTS %s CASCADE', oid::regprocedure) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND ('pg_proc'::regclass, oid) NOT IN (SELECT * FROM of_extensions)
        UNION ALL
        SELECT 2, oid, format('DROP TYPE IF EXISTS %s CASCADE', oid::regtype) FROM pg_type AS t
        WHERE typnamespace = 'public'::regnamespace AND ('pg_type'::regclass, oid) NOT IN (SELECT * FROM of_extensions)
            AND (typtype IN ('d', 'e', 'r') OR EXISTS (SELECT FROM pg_class WHERE oid = t.typrelid AND relkind = 'c'))
    ) AS found;
    EXECUTE elsewhere INTO before;
    FOREACH statement IN ARRAY coalesce(drops, '{}') LOOP
        EXECUTE statement;
    END LOOP;
    EXECUTE elsewhere INTO after;
    SELECT string_agg(name, ', ') INTO busy FROM (SELECT unnest(before) AS name EXCEPT SELECT unnest(after)) AS lost;
    IF busy IS NOT NULL THEN
        RAISE EXCEPTION 'candlehouse: depends: %', busy;
    END IF;
END $do$;
