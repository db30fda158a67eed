-- Of exchange $1 within spans ($2 starts, $3 ends, in milliseconds) keep what was found: $4 starts, $5 ends, $6 evidence and
-- $7 symbols, as text of arrays, in which markets may be that were joined to others meanwhile; $8 now. What is the same stays as it is.
WITH area AS (
    SELECT range_agg(tstzrange(to_timestamp(starts / 1000::double precision), to_timestamp(ends / 1000::double precision)))
        AS minutes
    FROM unnest($2::bigint[], $3::bigint[]) AS given (starts, ends)
), found AS (
    SELECT tstzrange(to_timestamp(starts / 1000::double precision), to_timestamp(ends / 1000::double precision)) AS span,
        evidence, ARRAY(
            SELECT DISTINCT coalesce(j.into_id, one) FROM unnest(symbols::int[]) AS one
            LEFT JOIN symbols_joined AS j ON j.gone = one ORDER BY 1
        ) AS symbols
    FROM unnest($4::bigint[], $5::bigint[], $6::text[], $7::text[]) AS given (starts, ends, evidence, symbols)
), gone AS (
    DELETE FROM exchange_outages AS o USING area
    WHERE o.exchange = $1 AND o.span && area.minutes AND NOT EXISTS (
        SELECT FROM found AS f WHERE (f.span, f.symbols, f.evidence) = (o.span, o.symbols, o.evidence)
    )
)
INSERT INTO exchange_outages (exchange, span, symbols, evidence, found_at)
SELECT $1, f.span, f.symbols, f.evidence, $8 FROM found AS f
WHERE NOT EXISTS (
    SELECT FROM exchange_outages AS o
    WHERE o.exchange = $1 AND (f.span, f.symbols, f.evidence) = (o.span, o.symbols, o.evidence)
)
RETURNING lower(span), upper(span)
