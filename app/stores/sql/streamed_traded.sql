-- Dollars traded of symbols ($1) in the stored hours that start in [$2, $3); 0 where nobody says what the quote
-- currency is worth. Good enough to put markets in order: hours not rolled up yet are left out.
WITH traded AS (
    SELECT s.id, s.base_id, s.quote_id, s.quote_id IN (SELECT u.quote_id FROM usd_like AS u) AS in_dollars,
        sum(b.close * b.volume::float8) AS quoted, (array_agg(b.close ORDER BY b.bucket DESC))[1] AS price
    FROM bars_1hour AS b JOIN symbol_exchange AS s ON s.id = b.symbol_id
    WHERE b.symbol_id = ANY ($1::int[]) AND b.bucket >= $2 AND b.bucket < $3
    GROUP BY s.id
), worth AS (
    SELECT base_id AS currency, max(price) AS dollars FROM traded WHERE in_dollars GROUP BY base_id
)
SELECT id, quoted * CASE WHEN in_dollars THEN 1 ELSE coalesce(w.dollars, 0) END
FROM traded LEFT JOIN worth AS w ON w.currency = quote_id
