"""TradingView's UDF, as https://www.tradingview.com/charting-library-docs/v29/connecting_data/UDF describes it."""
