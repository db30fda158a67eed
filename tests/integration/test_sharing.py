"""Processes that stream one exchange share its markets: each market in one of them, whoever comes or goes."""

import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence, Sized
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from app import wiring
from app.jobs import sharing
from app.jobs.sharing import Sharing, share
from app.settings import load_settings
from app.stores import heartbeat, roster
from app.stores.roster import Roster
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.market import Instrument
from fetchers import registry
from scripts.commands import stream
from tests.fixtures.live import eventually, impatient_redis, running, wire
from tests.fixtures.simulator import Simulator, simulator
from tests.fixtures.workers import environment, program

__all__ = ["simulator"]

MARKETS = [Instrument("binance", f"C{number}", "USDT", f"C{number}USDT") for number in range(60)]
NAMES = st.sets(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=6)


@given(NAMES)
def test_every_market_is_in_one_share(members: set[str]) -> None:
    shares = [one.key for member in members for one in share(MARKETS, members, member)]
    assert sorted(shares) == sorted(one.key for one in MARKETS)


@given(NAMES)
def test_who_comes_takes_from_the_others_and_moves_nothing_between_them(members: set[str]) -> None:
    for member in members:
        before = {one.key for one in share(MARKETS, members, member)}
        after = {one.key for one in share(MARKETS, members | {"new"}, member)}
        assert after <= before


def test_shares_are_about_equal() -> None:
    many = [Instrument("binance", f"C{number}", "USDT", f"C{number}USDT") for number in range(2500)]
    sizes = [len(share(many, {"a", "b", "c", "d"}, member)) for member in "abcd"]
    assert min(sizes) > 550


class Carried:
    """One process: what it was told to carry, in turn."""

    def __init__(self, client: redis.asyncio.Redis, name: str) -> None:
        self.told: list[set[str]] = []
        self.processes: list[int] = []
        self.listed: list[set[str]] = []
        self.sharing = Sharing(Roster(client, "binance", name), self._carry, "binance")

    def _carry(self, markets: Sequence[Instrument], processes: int, listed: Sequence[Instrument]) -> None:
        self.told.append({one.key for one in markets})
        self.processes.append(processes)
        self.listed.append({one.key for one in listed})

    @property
    def now(self) -> set[str]:
        return self.told[-1]


@asynccontextmanager
async def carrying(client: redis.asyncio.Redis, name: str) -> AsyncIterator[Carried]:
    one = Carried(client, name)
    await one.sharing.join()
    one.sharing.stream(MARKETS)
    async with running(one.sharing.run()):
        yield one


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "LEASE_S", 0.6)
    monkeypatch.setattr(sharing, "LEASE_S", 0.6)
    monkeypatch.setattr(sharing, "RENEW_S", 0.1)


ALL = {one.key for one in MARKETS}


def are_split(*processes: Carried) -> Callable[[], object]:
    async def check() -> bool:
        return Counter(key for one in processes for key in one.now) == Counter(ALL)

    return check


async def test_who_comes_takes_its_share_and_who_ends_gives_it_back(redis_client: redis.asyncio.Redis) -> None:
    async with carrying(redis_client, "one") as one:
        assert one.told == [ALL]
        async with carrying(redis_client, "two") as two:
            assert 10 < len(two.now) < 50, "it knew of the first from the beginning"
            assert one.now | two.now == ALL
            await eventually(are_split(one, two))
            assert (one.told[:2], one.processes[:2]) == ([ALL, ALL], [1, 2]), "what moves is kept for a lease"
            assert two.now and one.now
            assert (one.processes[-1], two.processes[-1]) == (2, 2), "they share the connections a minute, too"
            assert one.listed[-1] == two.listed[-1] == ALL
        await eventually(are_split(one))
    assert all(told | two.now >= ALL for told in one.told), "at no time was a market in neither"


async def test_what_somebody_was_killed_with_is_taken_over(redis_client: redis.asyncio.Redis) -> None:
    await Roster(redis_client, "binance", "dead").renew()
    async with carrying(redis_client, "one") as one:
        assert one.now == {each.key for each in share(MARKETS, {"one", "dead"}, "one")}
        await eventually(are_split(one))


async def lease_ends(client: redis.asyncio.Redis) -> list[float]:
    """By Redis's own clock; those that have run out are left out."""
    seconds, micros = await client.time()
    leases = await client.zrangebyscore(
        "candlehouse:streams:binance", seconds * 1000 + micros / 1000, "+inf", withscores=True
    )
    return [end_ms for _, end_ms in leases]


async def leases_last(client: redis.asyncio.Redis, count: int, later_than_ms: float = 0) -> bool:
    ends = await lease_ends(client)
    return len(ends) == count and all(end_ms > later_than_ms for end_ms in ends)


async def test_while_redis_is_away_everybody_keeps_what_he_has(
    redis_url: str, redis_client: redis.asyncio.Redis
) -> None:
    async with wire(redis_url) as way, impatient_redis(way.url) as client, AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(carrying(client, name)) for name in ("one", "two")]
        await eventually(are_split(one, two))
        before = len(one.told), len(two.told)
        await way.cut()
        await eventually(lambda: leases_last(redis_client, 0))
        await way.mend()
        await eventually(lambda: leases_last(redis_client, 2))
        until_ms = max(await lease_ends(redis_client))
        await eventually(lambda: leases_last(redis_client, 2, until_ms))
        assert (len(one.told), len(two.told)) == before


async def test_listings_are_followed_and_a_database_without_any_delists_nobody(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LOOK_EVERY_S", 0.01)
    settings = load_settings({"DATABASE_URL": postgres_url, "SYMBOLS": "*"}, dotenv="/nowhere")
    told, looks = list[list[str]](), list[int]()

    class Followed(Sharing):
        def stream(self, markets: Sequence[Instrument]) -> None:
            told.append([one.base for one in markets])

    async with wiring.open_stores(settings) as stores:
        version = stores.symbols.version

        async def counted() -> int:
            looks.append(1)
            return await version()

        monkeypatch.setattr(SymbolStore, "version", lambda self: counted())
        followed = Followed(Roster(Redis(), "binance", "one"), lambda *_: None, "binance")
        follow = stream._follow_listings(followed, settings, stores, registry.get("binance"), Clock())
        async with running(follow):
            await eventually(lambda: _is(looks, 3))
            assert told == [], "an empty database delists nobody"
            await stores.symbols.upsert("binance", MARKETS[:2], 1)
            await eventually(lambda: _is(told, 1))
            await stores.symbols.upsert("binance", MARKETS[:1], 2)
            await eventually(lambda: _last(told, ["C0"]))
    assert sorted(told[0]) == ["C0", "C1"]


async def _is(found: Sized, count: int) -> bool:
    return len(found) >= count


async def _last(found: Sequence[list[str]], wanted: list[str]) -> bool:
    return found[-1] == wanted


async def test_two_real_processes_share_an_exchange_and_one_takes_over_from_the_other(
    simulator: Simulator, postgres_url: str, redis_url: str, redis_client: redis.asyncio.Redis, tmp_path: Path
) -> None:
    told = environment(simulator, postgres_url, redis_url, tmp_path, SYMBOLS="binance:*")
    command = [sys.executable, "-m", "scripts.fetchers.ws", "fetch", "--exchange", "binance"]

    async def stands(processes: int) -> dict[str, str] | None:
        found = await heartbeat.told(redis_client, "binance")
        wanted = {"state": "connected", "processes": str(processes), "symbols": "13"}
        return found if wanted.items() <= found.items() else None

    async with program(told, tmp_path / "one.log", *command):
        await eventually(lambda: stands(1), 40)
        async with program(told, tmp_path / "two.log", *command) as two:
            both = await eventually(lambda: stands(2), 60)
            two.kill()
            await eventually(lambda: stands(1), 60)
    assert both["connections"] == "2"
