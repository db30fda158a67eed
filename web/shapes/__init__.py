"""The same bars in the shapes that existing clients know: Binance's REST, TradingView's UDF, ccxt's lists."""
