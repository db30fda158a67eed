-- Once all rows are in their tables: what restore_tables.sql took away comes back, and looks at every row.
DO $do$
DECLARE
    key record;
BEGIN
    FOR key IN SELECT * FROM restored_keys LOOP
        EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s', key.place, key.name, key.says);
    END LOOP;
    FOR key IN SELECT * FROM restored_triggers LOOP
        EXECUTE format('ALTER TABLE %s ENABLE TRIGGER %I', key.place, key.name);
    END LOOP;
END $do$;
