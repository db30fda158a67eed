"""Which markets are known, when the exchange answers and when it does not."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.jobs import first_fill, instruments
from common.clock import Clock
from common.errors import Malformed, Retryable
from common.market import Instrument
from common.ports import Listing, More, Request
from common.span import MINUTE_MS, Span
from fetchers import registry
from tests.fixtures.instance import Instance, open_instance
from tests.fixtures.simulator import Simulator, simulator

__all__ = ["simulator"]

BINANCE = registry.get("binance")
FAST = Clock(1000)


@pytest.fixture
async def instance(simulator: Simulator, postgres_url: str, redis_url: str) -> AsyncIterator[Instance]:
    async with open_instance(simulator, postgres_url, redis_url) as opened:
        yield opened


async def away(_: Request) -> bytes:
    raise Retryable("binance does not answer")


async def test_a_stream_starts_with_the_stored_markets_while_the_exchange_is_away(instance: Instance) -> None:
    await instance.know("binance")
    symbols = instance.resources.stores.symbols
    found = await instruments.wait_for_markets(BINANCE, get=away, symbols=symbols, clock=FAST)
    assert {one.key for one in found} == {*await symbols.load("binance")}


COINS = [Instrument("binance", name, "USDT", f"{name}USDT") for name in ("A", "B", "C")]


class Paged(type(BINANCE)):  # type: ignore[misc]
    """Its list of markets comes in so many answers."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.answers = answers

    def instruments_request(self) -> Request:
        return Request("/0")

    def parse_instruments(self, *bodies: bytes) -> Listing:
        if len(bodies) == self.answers:
            return Listing([COINS[int(body)] for body in bodies], [])
        return Listing(
            [], [], More(Request(f"/{len(bodies)}"), lambda body: self.parse_instruments(*bodies, body))
        )


async def its_number(request: Request) -> bytes:
    return request.path[1:].encode()


async def test_a_listing_of_several_answers_is_asked_for_to_its_end() -> None:
    assert await instruments.ask(Paged(3), get=its_number) == COINS


async def test_a_listing_without_end_is_given_up() -> None:
    with pytest.raises(Malformed, match="no end after 100 answers"):
        await instruments.ask(Paged(200), get=its_number)


async def test_a_stream_without_any_markets_asks_until_the_exchange_answers(instance: Instance) -> None:
    answers = [away, away, instance.resources.get(BINANCE)]

    async def get(request: Request) -> bytes:
        return await answers.pop(0)(request)

    symbols = instance.resources.stores.symbols
    found = await instruments.wait_for_markets(BINANCE, get=get, symbols=symbols, clock=FAST)
    assert not answers and {one.key for one in found} == {*await symbols.load("binance")}


async def test_a_stream_starts_with_stored_markets_while_the_limit_lets_nobody_ask(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await instance.know("binance")
    monkeypatch.setattr(instruments, "LISTED_S", 0.2)

    async def waiting(_: Request) -> bytes:
        await asyncio.Event().wait()
        return b""

    symbols = instance.resources.stores.symbols
    found = await instruments.wait_for_markets(BINANCE, get=waiting, symbols=symbols, clock=FAST)
    assert {one.key for one in found} == {*await symbols.load("binance")}


async def test_a_stream_starts_without_its_database(simulator: Simulator, redis_url: str) -> None:
    async with open_instance(simulator, "postgresql://x:y@127.0.0.1:9/z", redis_url) as cut_off:
        r = cut_off.resources
        found = await instruments.wait_for_markets(
            BINANCE, get=r.get(BINANCE), symbols=r.stores.symbols, clock=FAST
        )
    assert "binance:spot:BTC/USDT" in {one.key for one in found}


async def test_an_empty_list_of_markets_is_not_believed(instance: Instance) -> None:
    await instance.know("binance")

    async def nothing(_: Request) -> bytes:
        return b'{"symbols":[]}'

    r = instance.resources
    with pytest.raises(Malformed):
        await instruments.refresh(BINANCE, get=nothing, symbols=r.stores.symbols, clock=r.clock)
    assert await r.stores.symbols.load("binance", trading_only=True)


async def plan_first_fill(instance: Instance, hours: int = 4) -> int | None:
    r = instance.resources
    return await first_fill.plan(
        registry.get("binance"), hours, r.settings.symbols, stores=r.stores, clock=r.clock
    )


async def test_the_first_start_fills_what_symbols_selects_and_later_starts_fill_nothing_again(
    instance: Instance,
) -> None:
    markets = await instance.know("binance", "BTC/USDT", "ETH/USDT", "SOL/USDT")
    job = await plan_first_fill(instance)
    assert job is not None
    assert await plan_first_fill(instance) is None, "a second start while the first fill runs"
    assert await instance.work(job, "binance")
    now_ms = instance.resources.clock.now_ms() // MINUTE_MS * MINUTE_MS
    span = Span(now_ms - 200 * MINUTE_MS, now_ms - 5 * MINUTE_MS)
    for market in markets[:2]:
        assert await instance.rows(market.id, span) == instance.truth(market, span)
    assert await instance.rows(markets[2].id, span) == []
    assert await plan_first_fill(instance) is None


async def test_no_hours_and_no_selected_market_mean_no_first_fill(instance: Instance) -> None:
    assert await plan_first_fill(instance) is None  # no market is known yet
    await instance.know("binance")
    assert await plan_first_fill(instance, hours=0) is None
