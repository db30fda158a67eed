-- Bytes of what a raise of the storage tier makes anew: $1 candles are copied, $2 bars are made again.
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
    AND (($1::boolean AND c.relispartition AND c.relname LIKE 'candles\_%')
        OR ($2::boolean AND c.relname LIKE 'stored\_%'))
