SELECT id, (extract(epoch FROM time) * 1000)::bigint, exchange, kind, market, detail, facts::text
FROM events
WHERE ($1::text IS NULL OR exchange = $1) AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR id < $3)
ORDER BY id DESC
LIMIT $4
