"""GET /binance/api/v3/*, and the same of any exchange at /binance/{exchange}/api/v3/*."""

from typing import Any

from web.shapes.binance.klines import Kline, klines
from web.shapes.binance.listing import exchange_info, ping, time, unsupported
from web.shapes.binance.route import routers
from web.shapes.binance.tickers import day, price

router = routers(
    [
        ("/klines", klines, list[Kline]),
        ("/uiKlines", klines, list[Kline]),
        ("/exchangeInfo", exchange_info, dict[str, Any]),
        ("/time", time, dict[str, int]),
        ("/ping", ping, dict[str, Any]),
        ("/ticker/price", price, dict[str, str] | list[dict[str, str]]),
        ("/ticker/24hr", day, dict[str, Any] | list[dict[str, Any]]),
        ("/{path:path}", unsupported, None),
    ]
)
