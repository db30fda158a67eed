"""GET /binance/api/v3/*, and the same of any exchange at /binance/{exchange}/api/v3/*."""

from web.shapes.binance.klines import klines
from web.shapes.binance.listing import exchange_info, ping, time, unsupported
from web.shapes.binance.route import routers
from web.shapes.binance.tickers import day, price

router = routers(
    {
        "/klines": klines,
        "/uiKlines": klines,
        "/exchangeInfo": exchange_info,
        "/time": time,
        "/ping": ping,
        "/ticker/price": price,
        "/ticker/24hr": day,
        "/{path:path}": unsupported,
    }
)
