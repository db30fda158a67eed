-- Archives of symbols ($1) whose minutes are still covered.
SELECT a.symbol_id, a.file, a.checksum
FROM imported_archives AS a JOIN coverage AS c USING (symbol_id)
WHERE a.symbol_id = ANY ($1::int[]) AND a.covered <@ c.covered
