-- Bytes of candles, indexes included, where they stand in partitions.
SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits WHERE inhparent = 'candles'::regclass
