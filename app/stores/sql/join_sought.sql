-- Where outages were looked for in the joined market ($2) and in the other one ($1), each in its own time ($3 between them).
WITH other AS (DELETE FROM outages_sought WHERE symbol_id = $2 RETURNING minutes)
INSERT INTO outages_sought AS s (symbol_id, minutes)
SELECT $1, coalesce((SELECT minutes FROM outages_sought WHERE symbol_id = $1), '{}') * tstzmultirange(tstzrange(NULL, $3))
    + coalesce((SELECT minutes FROM other), '{}') * tstzmultirange(tstzrange($3, NULL))
ON CONFLICT (symbol_id) DO UPDATE SET minutes = excluded.minutes
