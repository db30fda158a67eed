"""One adapter for every exchange that ccxt knows and `fetchers/exchanges/` does not."""
