-- Between the tables as revisions made them and the rows of a backup: these come in any order, and into empty tables.
CREATE TEMP TABLE restored_keys ON COMMIT DROP AS
SELECT conrelid::regclass::text AS place, conname AS name, pg_get_constraintdef(oid) AS says
FROM pg_constraint
WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conparentid = 0;
-- What a new row sets off has happened before the backup. Bit 4 of a trigger's type is INSERT, bit 64 a view's.
CREATE TEMP TABLE restored_triggers ON COMMIT DROP AS
SELECT t.tgrelid::regclass::text AS place, t.tgname AS name
FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgtype & 4 <> 0 AND c.relkind = 'r'
    AND p.pronamespace = 'public'::regnamespace AND c.relnamespace = 'public'::regnamespace;

DO $do$
DECLARE
    key record;
    named text;
BEGIN
    FOR key IN SELECT * FROM restored_keys LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', key.place, key.name);
    END LOOP;
    FOR key IN SELECT * FROM restored_triggers LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', key.place, key.name);
    END LOOP;
    SELECT string_agg(oid::regclass::text, ', ') INTO named FROM pg_class AS c
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
        AND relname NOT IN ('storage', 'alembic_version')
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e');
    EXECUTE 'TRUNCATE ' || named;
END $do$;
