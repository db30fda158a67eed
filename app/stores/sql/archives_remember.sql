-- $1 symbol, $2 file, $3 checksum, $4 and $5 what it answered for, $6 rows, $7 now.
INSERT INTO imported_archives (symbol_id, file, checksum, covered, rows, imported_at)
VALUES ($1, $2, $3, tstzrange($4, $5), $6, $7)
ON CONFLICT (symbol_id, file) DO UPDATE
SET checksum = excluded.checksum, covered = excluded.covered, rows = excluded.rows, imported_at = excluded.imported_at
