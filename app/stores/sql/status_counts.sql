-- Candles by PostgreSQL's own estimates (counting a year of them would take minutes), and the symbols with coverage.
SELECT
    (
        SELECT coalesce(sum(greatest(part.reltuples, seen.n_live_tup, 0)), 0)::bigint
        FROM pg_inherits
        JOIN pg_class AS part ON part.oid = inhrelid
        JOIN pg_stat_user_tables AS seen ON seen.relid = inhrelid
        WHERE inhparent = 'candles'::regclass
    ) AS candles,
    (SELECT count(*) FROM coverage) AS symbols
