-- Candles that stand in columnstore, which no statistics of PostgreSQL's count.
SELECT coalesce(sum(s.numrows_pre_compression), 0)::bigint
FROM _timescaledb_catalog.compression_chunk_size AS s
JOIN _timescaledb_catalog.chunk AS c ON c.id = s.chunk_id
JOIN _timescaledb_catalog.hypertable AS h ON h.id = c.hypertable_id
WHERE h.table_name = 'candles'
