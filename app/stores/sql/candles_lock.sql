-- Two writers never work on the same symbol at once: what was there before a write is then known for certain.
-- $1 symbol ids. Sixty-four locks serve all symbols; taken in ascending order they cannot end in a deadlock.
SELECT pg_advisory_xact_lock(7310002, slot)
FROM (SELECT DISTINCT id % 64 AS slot FROM unnest($1::int[]) AS id ORDER BY slot) AS slots
