"""The markets of an exchange, which imports must know before they can name what they bring."""

from app import wiring
from app.jobs import instruments
from app.settings import Settings
from common.ports import Exchange


async def know_markets(settings: Settings, stores: wiring.Stores, exchange: Exchange) -> None:
    """Have the exchange list them, if none was ever stored."""
    if await stores.symbols.load(exchange.name):
        return
    redis = wiring.open_redis(settings)
    http = wiring.open_http(settings, redis)
    try:
        await instruments.refresh(
            exchange,
            get=lambda request: http.get_retrying(exchange, request, attempts=2),
            symbols=stores.symbols,
            clock=wiring.clock(settings),
        )
    finally:
        await http.close()
        await redis.aclose()
