"""REST requests stay within the budget, and every trouble has one of two names."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import redis.asyncio

from app import wiring
from app.settings import load_settings
from app.stores.budget import RedisBudget
from app.stores.memory_budget import MemoryBudget
from common.clock import Clock
from common.errors import Blocked, Rejected, Retryable
from common.ports import Priority, Request, Spending
from fetchers import registry
from fetchers.http import HttpClient, back_off_s
from tests.fixtures.live import LeapClock, http_client
from tests.fixtures.simulator import Simulator, running_simulator, simulator
from tests.fixtures.workers import environment

__all__ = ["simulator"]

BINANCE, BITFINEX = registry.get("binance"), registry.get("bitfinex")
LIST = BINANCE.instruments_request()


class Told:
    """A budget that lets everything through and notes what it is told, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float | None]] = []
        self.refusals: list[tuple[int, float, str]] = []

    async def acquire(self, weight: int, priority: Priority = Priority.HISTORY) -> Spending:
        self.calls.append((f"acquire {priority}", weight))
        return Spending("1", weight, priority)

    async def settle(self, spending: Spending, used_weight: int | None = None) -> None:
        assert spending.id == "1"
        self.calls.append(("settle", used_weight))

    async def refuse(self, status: int, until_ms: int, sent_ms: int, said: str = "") -> None:
        self.refusals.append((status, (until_ms - sent_ms) / 1000, said))


@pytest.fixture
def budget() -> Told:
    return Told()


@pytest.fixture
async def http(simulator: Simulator, budget: Told) -> AsyncIterator[HttpClient]:
    """At a moment at which the server's count is surely of the same minute."""
    budgets = dict.fromkeys(registry.names(), budget)
    client = HttpClient(simulator.rest_urls(), budgets, LeapClock(LeapClock().now_ms() + 30_000))
    yield client
    await client.close()


async def test_the_weight_is_acquired_before_and_the_servers_count_reported_after(
    http: HttpClient, budget: Told
) -> None:
    """W20: the server's headers were ignored."""
    assert BINANCE.parse_instruments(await http.get(BINANCE, LIST)).instruments
    assert budget.calls == [("acquire history", LIST.weight), ("settle", LIST.weight)]
    await http.get(BINANCE, LIST, Priority.LIVE)
    assert budget.calls[2:] == [("acquire live", LIST.weight), ("settle", 2 * LIST.weight)]


async def test_a_count_that_may_be_of_the_last_minute_is_not_reported(simulator: Simulator, budget: Told) -> None:
    client = HttpClient(simulator.rest_urls(), {"binance": budget}, LeapClock(LeapClock().now_ms() + 1_000))
    await client.get(BINANCE, LIST)
    await client.close()
    assert budget.calls == [("acquire history", LIST.weight), ("settle", None)]


async def test_a_refusal_pauses_everybody_for_as_long_as_the_server_says(
    simulator: Simulator, http: HttpClient, budget: Told
) -> None:
    """W19: it made the limiter more permissive."""
    simulator.fault("binance", "rate_limit", retry_after_s=7)
    with pytest.raises(Retryable) as refused:
        await http.get(BINANCE, LIST)
    assert (refused.value.status, refused.value.retry_after_s) == (429, 7)
    # A second more: the server counts whole ones, and by its own clock.
    assert budget.refusals == [(429, 8, "")] and budget.calls[-1] == ("settle", LIST.weight)


async def test_answers_are_timed_by_exchange_and_status_and_so_is_that_none_came(
    simulator: Simulator, http: HttpClient
) -> None:
    for _ in range(2):
        await http.get(BINANCE, LIST)
    simulator.fault("binance", "rate_limit", retry_after_s=7)
    nobody = HttpClient({"okx": "http://127.0.0.1:1"}, {"okx": Told()}, LeapClock())
    for client, exchange in ((http, BINANCE), (nobody, registry.get("okx"))):
        with pytest.raises(Retryable):
            await client.get(exchange, exchange.instruments_request())
    await nobody.close()
    counts = {key: values.cumulative()[-1][1] for one in (http, nobody) for key, values in one.answered.items()}
    assert counts == {("binance", "200"): 2, ("binance", "429"): 1, ("okx", "none"): 1}


async def test_a_refusal_without_a_time_pauses_too(simulator: Simulator, http: HttpClient, budget: Told) -> None:
    simulator.fault("bitfinex", "rate_limit")
    with pytest.raises(Retryable):
        await http.get(BITFINEX, BITFINEX.instruments_request())
    assert budget.refusals == [(429, 61, "")]


async def test_a_ban_holds_until_the_time_that_its_words_name(
    simulator: Simulator, http: HttpClient, budget: Told
) -> None:
    now_ms = LeapClock().now_ms() + 30_000
    refusal = BINANCE.refusal(
        418,
        {"retry-after": "120"},
        b'{"code":-1003,"msg":"Way too much; IP banned until %d. Bye"}' % (now_ms + 500_000),
    )
    assert isinstance(refusal, Retryable)
    assert (refusal.status, refusal.retry_after_s, refusal.until_ms) == (418, 120, now_ms + 500_000)
    simulator.fault("binance", "ban", seconds=300)
    with pytest.raises(Retryable) as told:
        await http.get(BINANCE, LIST)
    # The simulator's clock is years ahead of this client's, as its words show.
    assert told.value.until_ms and budget.refusals == [(418, (told.value.until_ms + 1000 - now_ms) / 1000, "")]


@pytest.mark.parametrize("status", [403, 451])
async def test_whoever_is_blocked_tells_everybody_why_and_asks_no_more(
    simulator: Simulator, redis_client: redis.asyncio.Redis, status: int
) -> None:
    simulator.fault("binance", "geo_block", status=status)
    clock = LeapClock()
    clients = [
        HttpClient(simulator.rest_urls(), {"binance": RedisBudget(redis_client, "binance", 5000, clock)}, clock)
        for _ in range(2)
    ]
    for client in clients:
        with pytest.raises(Blocked, match=rf"^Binance refuses this network or country \(HTTP {status}\): "):
            await client.get_retrying(BINANCE, LIST)
        await client.close()
    assert len(simulator.log("exchangeInfo")) == 1 and clock.sleeps == []


async def test_a_request_that_gets_no_answer_is_settled_too(budget: Told) -> None:
    client = HttpClient({"binance": "http://127.0.0.1:1"}, {"binance": budget}, LeapClock())
    with pytest.raises(Retryable):
        await client.get(BINANCE, LIST)
    await client.close()
    assert budget.calls == [("acquire history", LIST.weight), ("settle", None)]


async def test_an_answer_is_kept_when_redis_goes_away_while_it_is_under_way(simulator: Simulator) -> None:
    class Going(Told):
        async def settle(self, spending: Spending, used_weight: int | None = None) -> None:
            raise Retryable("Redis does not serve")

    client = HttpClient(simulator.rest_urls(), {"binance": Going()}, LeapClock())
    assert BINANCE.parse_instruments(await client.get(BINANCE, LIST)).instruments
    await client.close()


async def test_a_long_quiet_is_not_slept_through(simulator: Simulator) -> None:
    simulator.fault("binance", "rate_limit", count=9, retry_after_s=3600)
    clock = LeapClock()
    client = http_client(clock, simulator.rest_urls())
    for _ in range(2):
        with pytest.raises(Retryable):
            await client.get_retrying(BINANCE, LIST)
    await client.close()
    assert clock.sleeps == [] and len(simulator.log("exchangeInfo")) == 1


async def test_other_processes_wait_out_a_pause(simulator: Simulator, redis_client: redis.asyncio.Redis) -> None:
    simulator.fault("binance", "rate_limit", retry_after_s=50)
    clock = LeapClock()
    one, other = (
        HttpClient(simulator.rest_urls(), {"binance": RedisBudget(redis_client, "binance", 5000, clock)}, clock)
        for _ in range(2)
    )
    with pytest.raises(Retryable):
        await one.get(BINANCE, LIST)
    before_ms = clock.now_ms()
    await other.get(BINANCE, LIST)
    assert clock.now_ms() - before_ms >= 50_000
    await one.close()
    await other.close()


async def test_asking_again_waits_at_least_as_long_as_told(simulator: Simulator) -> None:
    simulator.fault("bitfinex", "rate_limit", count=2)
    clock = LeapClock()
    client = http_client(clock, simulator.rest_urls())
    before_ms = clock.now_ms()
    body = await client.get_retrying(BITFINEX, BITFINEX.instruments_request())
    assert BITFINEX.parse_instruments(body).instruments
    await client.close()
    assert clock.now_ms() - before_ms >= 120_000
    assert len(simulator.log("conf")) == 3


async def test_asking_again_ends_with_the_last_refusal(simulator: Simulator) -> None:
    simulator.fault("bitfinex", "rate_limit", count=99)
    client = http_client(LeapClock(), simulator.rest_urls())
    with pytest.raises(Retryable):
        await client.get_retrying(BITFINEX, BITFINEX.instruments_request(), attempts=4)
    await client.close()
    assert len(simulator.log("conf")) == 4


async def test_what_is_refused_for_good_is_not_asked_again(simulator: Simulator) -> None:
    client = http_client(LeapClock(), simulator.rest_urls())
    with pytest.raises(Rejected):
        await client.get_retrying(BINANCE, Request("/api/v3/klines", {"symbol": "NOPE", "interval": "1m"}))
    await client.close()
    assert len(simulator.log("klines")) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no.such.host.invalid"])
async def test_a_server_that_cannot_be_reached_is_retryable(url: str) -> None:
    """W22: with the exchange's name, and the reason."""
    client = http_client(Clock(), {"binance": url})
    with pytest.raises(Retryable, match="binance does not answer: "):
        await client.get(BINANCE, LIST)
    await client.close()


async def test_a_handshake_is_asked_on_the_sockets_host_by_http(simulator: Simulator, http: HttpClient) -> None:
    bittrex = registry.get("bittrex")
    request = bittrex.session([]).handshake()
    assert request
    answer = await http.handshake(simulator.ws_urls()["bittrex"], request)
    assert b"ConnectionToken" in answer
    assert [entry["path"] for entry in simulator.log()] == ["/bittrex/signalr/negotiate"]


async def test_a_refused_handshake_is_retryable(simulator: Simulator, http: HttpClient) -> None:
    with pytest.raises(Retryable, match="404"):
        await http.handshake(f"{simulator.ws_url}/nowhere", Request("/negotiate"))


def test_back_off_grows_to_a_limit_and_never_undercuts_what_was_told() -> None:
    assert max(back_off_s(0) for _ in range(200)) <= 1
    assert 30 < max(back_off_s(50) for _ in range(200)) <= 60
    assert min(back_off_s(50) for _ in range(200)) < 30
    assert min(back_off_s(3, told_s=40) for _ in range(200)) >= 40


async def test_a_client_connects_to_nothing_before_it_is_asked() -> None:
    await HttpClient({"binance": "http://127.0.0.1:1"}, {"binance": MemoryBudget(1, Clock())}, Clock()).close()


async def test_an_exchange_that_limits_the_second_is_never_asked_too_fast(
    redis_client: redis.asyncio.Redis, postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Coinbase answers the eleventh request of a second with 429, which keeps everybody quiet for a minute."""
    with running_simulator(enforce_limits=True) as simulator:
        around = environment(simulator, postgres_url, redis_url, tmp_path, COINBASE_WEIGHT_PER_MINUTE="600")
        exchange, client = (
            registry.get("coinbase"),
            wiring.open_http(load_settings(around, "/nowhere"), redis_client),
        )
        async with asyncio.TaskGroup() as tasks:
            for _ in range(24):
                tasks.create_task(client.get(exchange, exchange.instruments_request()))
        await client.close()
        assert [one["status"] for one in simulator.get("/_sim/verdicts")] == [200] * 24


@pytest.mark.parametrize("priority", Priority)
async def test_an_answer_that_stops_in_its_middle_is_given_up(
    monkeypatch: pytest.MonkeyPatch, priority: Priority
) -> None:
    """Half-open: no end of the connection comes, nor a byte more. Each has a patience of its own."""
    patience = {one: httpx.Timeout(0.2 if one is priority else None) for one in Priority}
    monkeypatch.setattr("fetchers.http.TIMEOUTS", patience)
    hung_up = asyncio.Event()

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n[[1,2")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    async with await asyncio.start_server(half, "127.0.0.1", 0) as server:
        client = http_client(Clock(), {"binance": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"})
        with pytest.raises(Retryable, match="binance does not answer: ReadTimeout"):
            await asyncio.wait_for(client.get(BINANCE, LIST, priority), 20)
        await client.close()
        await asyncio.wait_for(hung_up.wait(), 20)
