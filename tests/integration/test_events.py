"""What happens to a feed is a row, a message to those who asked, a line of REST and of commands, and a count."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import httpx
import pytest
import redis.asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection

from app.happening import Happening, Kind, happening
from app.jobs import chronicle
from app.jobs.chronicle import run_chronicle
from app.stores.database import Database
from app.stores.events import EventFeed, EventStore, EventStream, counts, tell
from common.clock import Clock
from common.errors import Retryable
from common.span import floor_minute
from fetchers import registry
from tests.fixtures.command_line import CommandLine, candlehouse
from tests.fixtures.feed import live, now_ms
from tests.fixtures.live import BTC, ETH, eventually, exchange_server, impatient_redis, kline, running, wire
from tests.fixtures.simulator import simulator
from tests.fixtures.web import SetClock, listening, rest, web_deps
from web.live.announcer import Announcer
from web.live.client import Client

__all__ = ["candlehouse", "simulator"]

T0 = 1_715_776_440_000


def some(count: int = 3) -> list[Happening]:
    lost = happening(Kind.LOST, "binance", T0, "reset", facts={"markets": 2, "since_ms": T0 - 9})
    stale = happening(Kind.STALE, "bitfinex", T0 + 1, "silent", "BTC/USD", {"silent_ms": 120_000})
    healed = happening(Kind.HEALED, "binance", T0 + 2, facts={"markets": 1, "minutes": 4})
    return [lost, stale, healed][:count]


@pytest.fixture
async def events(database: Database) -> EventStore:
    return EventStore(database)


async def test_what_happened_is_read_back_newest_first_and_told_twice_is_still_one(events: EventStore) -> None:
    told = some()
    await events.write(told)
    await events.write(told)
    assert await events.newest(10) == told[::-1]
    assert await events.newest(1) == [told[2]]
    assert await events.newest(10, before=told[2].id) == [told[1], told[0]]
    assert await events.newest(10, "binance") == [told[2], told[0]]
    assert await events.newest(10, "binance", Kind.LOST) == [told[0]]


async def test_whatever_an_exchange_says_can_be_stored(events: EventStore) -> None:
    told = happening(Kind.REFUSED, "binance", T0, "no\0 such 🜁 " + "x" * 9_000, "BTC/USDT")
    await events.write([told])
    assert await events.newest(1) == [told]
    assert (told.detail[:12], len(told.detail)) == ("no such 🜁 xx", 500)


async def test_rows_come_to_the_table_whatever_was_away(
    redis_url: str, redis_client: redis.asyncio.Redis, events: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chronicle, "STALE_MS", 200)
    told = some()
    async with wire(redis_url) as way, impatient_redis(way.url) as client:
        async with running(run_chronicle(EventStream(client, "database", "one"), events, Clock())):
            await tell(redis_client, told[:1])
            await eventually(lambda: events.newest(10))
            await way.cut()
            await tell(redis_client, told[1:2])
            await way.mend()
            await eventually(lambda: _are(events, 2))
        await tell(redis_client, told[2:])
        await redis_client.xreadgroup("database", "dead", {"candlehouse:events": ">"})
        async with running(run_chronicle(EventStream(client, "database", "two"), events, Clock())):
            await eventually(lambda: _are(events, 3))
    assert await events.newest(10) == told[::-1]
    assert await counts(redis_client) == {
        ("binance", "lost"): 1,
        ("binance", "healed"): 1,
        ("bitfinex", "stale"): 1,
    }
    assert (await EventFeed(redis_client).read("0-0", None))[1] == told, "who only listens finds them too"


async def _are(events: EventStore, count: int) -> bool:
    return len(await events.newest(10)) == count


async def test_a_feed_tells_of_its_connections_their_losses_and_what_is_refused(
    redis_client: redis.asyncio.Redis,
) -> None:
    hang_up = asyncio.Event()

    async def talk(socket: ServerConnection) -> None:
        await socket.send(kline(floor_minute(now_ms())))
        await (socket.wait_closed() if hang_up.is_set() else hang_up.wait())

    async def told(count: int) -> list[Happening]:
        _, found = await EventFeed(redis_client).read("0-0", None)
        return found if len(found) >= count else []

    async with exchange_server(talk) as url, live(registry.get("binance"), [BTC, ETH], url, redis_client):
        await eventually(lambda: told(1))
        hang_up.set()
        found = await eventually(lambda: told(3))
    assert [(one.kind, one.exchange, one.market, one.facts["markets"]) for one in found[:3]] == [
        (kind, "binance", "", 2) for kind in (Kind.CONNECTED, Kind.LOST, Kind.CONNECTED)
    ]
    assert found[1].detail == "received 1000 (OK); then sent 1000 (OK)"
    assert found[0].at <= found[1].facts["since_ms"] <= found[1].at


@pytest.fixture
async def web(
    database: Database, redis_client: redis.asyncio.Redis, events: EventStore
) -> AsyncIterator[httpx.AsyncClient]:
    await events.write(some())
    async with rest(web_deps(database, redis_client, SetClock())) as client:
        yield client


def answered(one: Happening) -> dict[str, Any]:
    names = ("id", "at", "exchange", "kind", "market", "detail", "facts")
    return {name: getattr(one, name) for name in names}


async def test_rest_answers_with_rows(web: httpx.AsyncClient, events: EventStore) -> None:
    told = await events.newest(10)
    assert (await web.get("/api/events")).json() == [answered(one) for one in told]
    asked = {"exchange": "binance", "kind": "healed", "limit": "1"}
    assert (await web.get("/api/events", params=asked)).json() == [answered(told[0])]
    assert (await web.get("/api/events", params={"before": told[-1].id})).json() == []


@pytest.mark.parametrize(("name", "value"), [("kind", "lots"), ("exchange", "mtgox"), ("limit", "-1")])
async def test_a_wrong_question_is_told_what_is_allowed(web: httpx.AsyncClient, name: str, value: str) -> None:
    answer = await web.get("/api/events", params={name: value})
    assert (answer.status_code, answer.json()["field"]) == (422, name), answer.text


async def test_who_asks_for_status_is_told_of_each_event_and_nobody_else(
    database: Database, redis_client: redis.asyncio.Redis
) -> None:
    told = some()
    async with listening(web_deps(database, redis_client, SetClock())) as address:
        url = f"ws://{address}/api/ohlcvs"
        async with connect(url) as every, connect(url) as one, connect(url) as silent, asyncio.timeout(30):
            assert await ask(every) == {"event": "subscribed", "data_type": "status", "exchange": ""}
            await ask(one, exchange="bitfinex")
            await tell(redis_client, told)
            assert [json.loads(await every.recv()) for _ in told] == [pushed(each) for each in told]
            assert json.loads(await one.recv()) == pushed(told[1])
            await ask(every, event_type="unsubscribe")
            await tell(redis_client, some(2))
            assert json.loads(await one.recv())["exchange"] == "bitfinex"
            refusal = await ask(silent, exchange="mtgox", tags=True)
            left = await ask(every, event_type="unsubscribe")
    assert (refusal["event"], refusal["field"], left["event"]) == ("error", "exchange", "unsubscribed")


async def test_two_who_ask_at_the_same_moment_are_told_of_each_event_once(
    database: Database, redis_client: redis.asyncio.Redis
) -> None:
    deps, clients = web_deps(database, redis_client, SetClock()), [Client(), Client()]
    sent: list[list[str]] = [[], []]
    async with asyncio.TaskGroup() as tasks:
        announcer = Announcer(deps, tasks)
        await asyncio.gather(*(announcer.add(client) for client in clients))
        readers = [task for task in asyncio.all_tasks() if task.get_name() == "read the events"]

        async def keep(place: int, text: str) -> None:
            sent[place].append(json.loads(text)["id"])

        sending = [tasks.create_task(client.send_to(partial(keep, place))) for place, client in enumerate(clients)]
        told = some()
        await tell(redis_client, told)
        await eventually(lambda: _all_sent(sent, len(told)))
        announcer.stop()
        for task in sending:
            task.cancel()
    assert (len(readers), sent) == (1, [[one.id for one in told]] * 2)


async def _all_sent(sent: list[list[str]], count: int) -> bool:
    return all(len(one) >= count for one in sent)


async def test_who_cannot_be_told_is_refused_and_not_kept(
    database: Database, redis_url: str, redis_client: redis.asyncio.Redis
) -> None:
    async with wire(redis_url) as way, impatient_redis(way.url) as client:
        await way.cut()
        async with asyncio.TaskGroup() as tasks:
            announcer, asked = Announcer(web_deps(database, client, SetClock()), tasks), Client()
            with pytest.raises(Retryable):
                await announcer.add(asked)
            assert announcer.remove(asked) is False


async def ask(socket: ClientConnection, **changes: Any) -> dict[str, Any]:
    """The next thing that is said after this."""
    await socket.send(json.dumps({"event_type": "subscribe", "data_type": "status"} | changes))
    answer: dict[str, Any] = json.loads(await socket.recv())
    return answer


def pushed(one: Happening) -> dict[str, Any]:
    return {"data_type": "status", **answered(one)}


def test_the_command_line_shows_them_oldest_first(
    candlehouse: CommandLine, postgres_url: str, fill: Callable[[list[Happening]], None]
) -> None:
    assert candlehouse("events") == (0, "Nothing of this has happened.\n")
    told = some()
    fill(told)
    status, said = candlehouse("events", "--exchange", "binance")
    assert (status, [line.split()[1:3] for line in said.splitlines()[1:]]) == (
        0,
        [["binance", "lost"], ["binance", "healed"]],
    ), said
    assert "reset; markets 2, since_ms 2024-05-15T12:33:59" in said
    status, said = candlehouse("events", "--kind", "stale", "--json")
    assert [one["id"] for one in json.loads(said)] == [told[1].id]
    assert candlehouse("events", "--kind", "lots")[0] == 2


@pytest.fixture
def fill(postgres_url: str) -> Callable[[list[Happening]], None]:
    from app.stores.database import open_database

    async def write(told: list[Happening]) -> None:
        opened = open_database(postgres_url)
        await EventStore(opened).write(told)
        await opened.close()

    return lambda told: asyncio.run(write(told))
