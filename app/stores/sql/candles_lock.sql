-- Two writers never work on the same symbol at once: what was there before a write is then known for certain.
-- $1 distinct symbol ids modulo 64, ascending: sixty-four locks serve all symbols and cannot end in a deadlock.
-- $2 now, which the transaction's other statements and triggers ask by writing_now(). The first lock, shared, keeps
-- horizons where they are.
SELECT pg_advisory_xact_lock_shared(7310006), pg_advisory_xact_lock(7310002, slot),
    set_config('candlehouse.now', ($2::timestamptz)::text, true)
FROM unnest($1::int[]) AS slot
