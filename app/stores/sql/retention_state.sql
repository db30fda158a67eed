-- How many symbols have a horizon, and from when to when these are.
SELECT count(*), min(horizon), max(horizon) FROM coverage WHERE horizon IS NOT NULL
