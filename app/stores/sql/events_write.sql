INSERT INTO events (id, time, exchange, kind, market, detail, facts)
SELECT id, to_timestamp(at / 1000.0), exchange, kind, market, detail, facts::jsonb
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
    AS told (id, at, exchange, kind, market, detail, facts)
ON CONFLICT (id) DO NOTHING
