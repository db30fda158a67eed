-- What stands in schema public and belongs to no extension: what a backup holds and a restore replaces.
WITH of_extensions AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e')
SELECT relname::text AS name FROM pg_class AS c
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition
    AND ('pg_class'::regclass, oid) NOT IN (SELECT * FROM of_extensions)
UNION
SELECT proname::text FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND ('pg_proc'::regclass, oid) NOT IN (SELECT * FROM of_extensions)
UNION
SELECT typname::text FROM pg_type AS t
WHERE typnamespace = 'public'::regnamespace AND ('pg_type'::regclass, oid) NOT IN (SELECT * FROM of_extensions)
    AND (typtype IN ('d', 'e', 'r') OR EXISTS (SELECT FROM pg_class WHERE oid = t.typrelid AND relkind = 'c'))
ORDER BY 1
