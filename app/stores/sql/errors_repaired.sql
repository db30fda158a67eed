-- $1 symbol, $2 and $3 a span that is about to be covered (or NULL), $4 now.
UPDATE ohlcvs_errors AS e SET repaired_at = $4
WHERE e.symbol_id = $1 AND e.repaired_at IS NULL
    AND coalesce((SELECT c.covered FROM coverage AS c WHERE c.symbol_id = $1), '{}')
        + CASE WHEN $2::timestamptz < $3::timestamptz THEN tstzmultirange(tstzrange($2, $3)) ELSE '{}' END
        @> tstzrange(e.start_date, e.end_date)
RETURNING e.id
