"""What the live job announces as closed is what the exchange traded."""

import pytest
import redis.asyncio

from app.jobs import instruments
from common.clock import Clock
from common.market import Instrument
from common.ports import Exchange
from common.span import MINUTE_MS, floor_minute
from fetchers import registry
from fetchers.by_ccxt.adapter import CcxtExchange
from tests.fixtures.feed import live, now_ms, told
from tests.fixtures.live import eventually, http_client
from tests.fixtures.simulator import Simulator, running_simulator

PAIRS = ("BTC/USDT", "ETH/USDT", "ETH/BTC")


#: Adapters of our own, and the one over ccxt's classes of the same exchanges.
FEEDS = [*map(registry.get, registry.names())]
FEEDS += [CcxtExchange(name) for name in ("binance", "bitfinex", "bybit", "coinbase", "kraken", "okx")]


def title(exchange: Exchange) -> str:
    return f"ccxt:{exchange.name}" if isinstance(exchange, CcxtExchange) else exchange.name


async def markets(simulator: Simulator, exchange: Exchange) -> list[Instrument]:
    """ccxt lists Coinbase's by another API than the simulator's."""
    rest_urls = simulator.rest_urls()
    if title(exchange) == "ccxt:coinbase":
        exchange = registry.get("coinbase")
    elif isinstance(exchange, CcxtExchange):
        rest_urls[exchange.name] = f"{simulator.url}/{exchange.name}"
    http = http_client(simulator.clock, rest_urls)
    listed = await instruments.ask(exchange, get=lambda request: http.get(exchange, request))
    await http.close()
    return [one for one in listed if one.is_trading and one.symbol in PAIRS]


def ws_url(simulator: Simulator, exchange: Exchange) -> str:
    """Over ccxt the path is the exchange's own."""
    if isinstance(exchange, CcxtExchange):
        return f"{simulator.ws_url}/{exchange.name}"
    return simulator.ws_urls()[exchange.name]


@pytest.mark.parametrize("exchange", FEEDS, ids=title)
async def test_closed_candles_equal_the_truth(exchange: Exchange, redis_client: redis.asyncio.Redis) -> None:
    """W7: through a connection that is hung up on, each market's minutes are announced as closed once."""
    name = exchange.name
    with running_simulator(Clock(60, now_ms())) as simulator:
        chosen = await markets(simulator, exchange)
        async with live(exchange, chosen, ws_url(simulator, exchange), redis_client, simulator.clock):
            await eventually(lambda: everybody_told(redis_client, name, len(chosen)))
            # The first minute was joined midway, and the one after the whole one holds the interruption: REST
            # tells those.
            whole = floor_minute(simulator.clock.now_ms()) + MINUTE_MS

            async def minutes_after(count: float) -> bool:
                return simulator.clock.now_ms() > whole + count * MINUTE_MS

            await eventually(lambda: minutes_after(1.5))
            simulator.fault(name, "disconnect")
            await eventually(lambda: minutes_after(4.5))
        messages = await told(redis_client, "closed_candles")
        last: dict[tuple[str, int], list[float]] = {}
        closings: dict[tuple[str, int], int] = {}
        for one in messages:
            last[one.key, one.time] = [one.time, one.open, one.high, one.low, one.close, one.volume]
            closings[one.key, one.time] = closings.get((one.key, one.time), 0) + (not one.corrected)
        assert set(closings.values()) == {1}
        compared = 0
        for market in chosen:
            for truth in simulator.truth(name, market.base, market.quote, whole, whole + MINUTE_MS):
                if not truth[5] and (market.key, whole) not in last:
                    continue  # Kraken's REST serves a minute without trades, of which its socket says nothing
                assert last[market.key, whole] == truth
                compared += 1
        assert compared >= 1 and len({key for key, _ in last}) == len(chosen) >= 2


@pytest.mark.parametrize("exchange", [one for one in FEEDS if one.limits.ping_s], ids=title)
async def test_a_connection_without_candles_is_kept_by_its_pings(
    exchange: Exchange, redis_client: redis.asyncio.Redis
) -> None:
    """Whoever says nothing is hung up on by these exchanges after half a minute or a whole one."""
    name = exchange.name
    with running_simulator(Clock(15, now_ms())) as simulator:
        chosen = await markets(simulator, exchange)
        simulator.fault(name, "silence", heartbeats=True)

        def connections() -> list[int]:
            return [entry["received_ms"] for entry in simulator.log() if entry["method"] == "WS"]

        async def a_minute_and_a_half_later() -> bool:
            return bool(opened := connections()) and simulator.clock.now_ms() > opened[0] + 1.5 * MINUTE_MS

        async with live(exchange, chosen, ws_url(simulator, exchange), redis_client, simulator.clock):
            await eventually(a_minute_and_a_half_later)
        assert len(connections()) == 1


async def everybody_told(client: redis.asyncio.Redis, exchange: str, markets: int) -> bool:
    return len({one.key for one in await told(client, f"live_{exchange}")}) == markets
