-- Bytes of the bars of tier timescale, indexes and columnstore included.
SELECT coalesce(sum(hypertable_size(format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)::regclass)), 0)::bigint
FROM timescaledb_information.continuous_aggregates WHERE view_name IN (SELECT 'rolled_' || name FROM rollup_chain())
