-- Two writers never work on the same symbol at once: what was there before a write is then known for certain.
-- $1 symbol ids, of which sixty-four locks serve all and cannot end in a deadlock; $2 now, which the transaction's other
-- statements and triggers ask by writing_now(). Those of $1 that were joined to other markets.
SELECT lock_symbols($1, $2)
