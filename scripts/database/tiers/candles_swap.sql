-- From plain, after candles_next.sql and the copy of every row: candles_next becomes candles. Views and functions that
-- read candles are bound to the new one as they are, whoever made them; its triggers and grants are made again.
DO $do$
DECLARE
    before CONSTANT oid := 'candles'::regclass;
    said text := obj_description('candles'::regclass, 'pg_class');
    again text[];
    statement text;
BEGIN
    SELECT array_agg(made ORDER BY made) INTO again FROM (
        SELECT DISTINCT format('CREATE OR REPLACE VIEW %s AS %s', r.ev_class::regclass, pg_get_viewdef(r.ev_class)) AS made
        FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid JOIN pg_class AS c ON c.oid = r.ev_class
        WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = before AND c.relkind = 'v'
        UNION
        SELECT pg_get_functiondef(d.objid) FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.objid
        WHERE d.classid = 'pg_proc'::regclass AND d.refobjid = before AND p.prosqlbody IS NOT NULL
        UNION
        SELECT pg_get_triggerdef(t.oid) FROM pg_trigger AS t WHERE t.tgrelid = before AND NOT t.tgisinternal
        UNION
        SELECT format('GRANT %s ON candles TO %s', a.privilege_type,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
        FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a WHERE c.oid = before AND a.grantee <> c.relowner
    ) AS dependents;
    ALTER TABLE candles RENAME TO candles_before;
    ALTER INDEX candles_pkey RENAME TO candles_before_pkey;
    ALTER TABLE candles_next RENAME TO candles;
    ALTER INDEX candles_next_pkey RENAME TO candles_pkey;
    EXECUTE format('COMMENT ON TABLE candles IS %L', replace(said, 'Partitioned by year', 'A hypertable'));
    FOREACH statement IN ARRAY again LOOP
        EXECUTE statement;
    END LOOP;
    COMMENT ON TRIGGER candles_deleted ON candles IS 'Deleted minutes change bars as well.';
    COMMENT ON TRIGGER candles_revised ON candles IS 'Corrected minutes keep their old values.';
    DROP TABLE candles_before;
    UPDATE storage SET tier = 'apache';
END $do$;
