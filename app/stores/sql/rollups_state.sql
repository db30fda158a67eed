-- The timeframes that are rolled up, what each is made from, and about how many bars of it are stored, by PostgreSQL's
-- own estimates; NULL where no table of ours holds them.
SELECT step.name, step.source, (
    SELECT sum(greatest(part.reltuples, seen.n_live_tup, 0))::bigint
    FROM pg_class AS part JOIN pg_stat_user_tables AS seen ON seen.relid = part.oid
    WHERE part.oid = to_regclass('stored_' || step.name)
        OR part.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass('stored_' || step.name))
) AS bars
FROM rollup_chain() AS step
ORDER BY step.place
