-- Candles by the planner's estimate (counting a year of them would take minutes), and the symbols that have any.
SELECT
    (
        SELECT coalesce(sum(greatest(part.reltuples, 0)), 0)::bigint
        FROM pg_inherits
        JOIN pg_class AS part ON part.oid = inhrelid
        WHERE inhparent = 'candles'::regclass
    ) AS candles,
    (SELECT count(*) FROM coverage) AS symbols
