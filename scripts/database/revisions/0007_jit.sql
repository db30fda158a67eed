-- Plans here span every yearly partition of eleven timeframes: compiling one takes seconds, running it milliseconds
-- (measured: 17 s against 11 ms for three hourly bars). The program's own sessions never compile; this is for psql and
-- whatever else people connect with. Only a database's owner may set it; elsewhere it is the administrator's to do.
DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET jit = off', current_database());
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'Only the owner of % can set jit = off for all; without it queries by hand may take seconds.',
        current_database();
END $$;
