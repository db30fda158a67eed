"""Binance's spot market data, as https://github.com/binance/binance-spot-api-docs (rest-api.md) describes it."""
