-- Of symbols ($1), those of which somebody wanted minutes, or had them.
SELECT symbol_id FROM coverage WHERE symbol_id = ANY ($1::int[]) AND NOT (isempty(wanted) AND isempty(covered))
