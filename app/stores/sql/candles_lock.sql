-- Two writers never work on the same symbol at once: what was there before a write is then known for certain.
-- $1 distinct symbol ids modulo 64, ascending: sixty-four locks serve all symbols and cannot end in a deadlock.
SELECT pg_advisory_xact_lock(7310002, slot) FROM unnest($1::int[]) AS slot
