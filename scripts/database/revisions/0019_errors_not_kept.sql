-- A failed fetch of minutes that retention has dropped since is over as well.

COMMENT ON COLUMN ohlcvs_errors.repaired_at IS
    'When all its minutes had been answered, or were not kept any more; NULL before.';
UPDATE ohlcvs_errors AS e SET repaired_at = now() FROM coverage AS c
WHERE c.symbol_id = e.symbol_id AND e.end_date <= c.horizon AND e.repaired_at IS NULL;
