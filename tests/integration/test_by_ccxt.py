"""The adapter over ccxt reads the truth from exchanges that the simulator plays: their classes, our requests."""

from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from app.jobs import instruments
from app.jobs.pages import ask, page_of
from app.stores.pages import Lease
from common.clock import Clock
from common.errors import Rejected
from common.market import Instrument
from common.ports import Exchange
from common.span import DAY_MS, MINUTE_MS, Span, floor_minute
from fetchers.by_ccxt.adapter import CcxtExchange
from fetchers.history import newest_page
from fetchers.http import HttpClient
from tests.fixtures.live import http_client
from tests.fixtures.simulator import Simulator, running_simulator

#: 2023-03-28 10:40 UTC, long over.
START_MS = 28_000_000 * MINUTE_MS

#: The simulator's name of the exchange by ccxt's, and a market each that is busy and one that is not.
PLAYED = {
    "binance": ("binance", "BTC/USDT", "XLM/BTC"),
    "bybit": ("bybit", "BTC/USDT", "DASH/USDT"),
    "coinbaseexchange": ("coinbase", "BTC/USD", "DASH/USD"),
    "kraken": ("kraken", "BTC/USD", "XLM/BTC"),
    "okx": ("okx", "BTC/USDT", "DASH/USDT"),
    "bitfinex": ("bitfinex", "BTC/USD", "DUSK/USD"),
}
ALL_HISTORY = [name for name in PLAYED if name != "kraken"]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running_simulator() as running:
        yield running


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[HttpClient]:
    client = http_client(
        simulator.clock, {name: f"{simulator.url}/{where}" for name, (where, *_) in PLAYED.items()}
    )
    yield client
    await client.close()


async def listed(exchange: Exchange, http: HttpClient) -> dict[str, Instrument]:
    found = await instruments.ask(exchange, get=lambda request: http.get(exchange, request))
    return {one.symbol: one for one in found}


async def fetched(
    exchange: Exchange, market: Instrument, span: Span, http: HttpClient, clock: Clock
) -> list[list[float]]:
    """Leased page by leased page, newest first, as a worker asks."""
    rows, left = list[list[float]](), span
    while not left.is_empty():
        lease = Lease(1, 1, 1, page_of(exchange, market, left, clock.now_ms()), 0)
        answered = await ask(exchange, market, lease, get=lambda one: http.get(exchange, one), clock=clock)
        assert answered.covered == lease.span
        rows[:0] = [list(row[1:7]) for row in answered.rows]
        left = Span(left.start_ms, lease.span.start_ms)
    return rows


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "quiet"])
@pytest.mark.parametrize("name", ALL_HISTORY)
async def test_history_is_the_truth(simulator: Simulator, http: HttpClient, name: str, busy: bool) -> None:
    exchange, (where, *symbols) = CcxtExchange(name), PLAYED[name]
    market = (await listed(exchange, http))[symbols[not busy]]
    span = Span(START_MS, START_MS + (2 * exchange.limits.page_minutes + 700) * MINUTE_MS)
    rows = await fetched(exchange, market, span, http, simulator.clock)
    assert rows == simulator.truth(where, market.native_base, market.native_quote, *span)
    assert len(rows) > 100


async def test_pages_that_the_exchange_cuts_short_are_asked_for_in_shorter_ones(
    simulator: Simulator, http: HttpClient
) -> None:
    """ccxt takes OKX to serve 300 rows; documented, and played, are 100."""
    exchange = CcxtExchange("okx")
    market = (await listed(exchange, http))["BTC/USDT"]
    first = exchange.page(market, Span(START_MS, START_MS + 2000 * MINUTE_MS), simulator.clock.now_ms()).span
    await fetched(exchange, market, first, http, simulator.clock)
    then = exchange.page(market, Span(START_MS, START_MS + 2000 * MINUTE_MS), simulator.clock.now_ms()).span
    assert (first.minutes(), then.minutes()) == (298, 98)


@pytest.mark.parametrize("name", PLAYED)
async def test_the_newest_minutes_are_the_truth_and_the_running_one_is_not_stored(
    simulator: Simulator, http: HttpClient, name: str
) -> None:
    exchange, (where, symbol, _) = CcxtExchange(name), PLAYED[name]
    market = (await listed(exchange, http))[symbol]
    end_ms = floor_minute(simulator.clock.now_ms()) + MINUTE_MS
    wanted = Span(end_ms - 60 * MINUTE_MS, end_ms)
    get = partial(http.get, exchange)
    while not (answer := await newest_page(exchange, market, wanted, get=get, clock=simulator.clock)).candles:
        pass
    over = [one for one in answer.candles if one.open_ms < end_ms - MINUTE_MS]
    assert answer.candles == over and answer.span.end_ms == end_ms
    finished = answer.span.start_ms, end_ms - MINUTE_MS
    truth = simulator.truth(where, market.native_base, market.native_quote, *finished)
    assert [list(one[1:7]) for one in over] == truth


async def test_minutes_out_of_reach_are_refused_and_not_taken_for_quiet(
    simulator: Simulator, http: HttpClient
) -> None:
    """Kraken answers with its newest 720 minutes, whatever it is asked for."""
    exchange, end_ms = CcxtExchange("kraken"), floor_minute(simulator.clock.now_ms()) - 3 * DAY_MS
    market = (await listed(exchange, http))["BTC/USD"]
    wanted = Span(end_ms - 100 * MINUTE_MS, end_ms)
    with pytest.raises(Rejected, match=r"^Kraken serves only its newest minutes here, which reach back to 20"):
        await newest_page(exchange, market, wanted, get=partial(http.get, exchange), clock=simulator.clock)
