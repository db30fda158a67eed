"""WebSocket /api/ohlcvs over a real Redis and a real PostgreSQL: what old clients and new ones may rely on."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from app.stores.database import Database
from app.stores.latest import LiveSink
from common.clock import Clock
from common.errors import Retryable
from common.span import MINUTE_MS
from common.timeframe import ALLOWED
from tests.fixtures.live_web import LIMIT_S, MINUTE, Live, bar, hear, hear_json, say, text_of, web_with_stream
from tests.fixtures.web import BTC, UST, SetClock, listening, store, web_deps

ASKED = {"data_type": "ohlcv", "exchange": "binance", "base_id": "BTC", "quote_id": "USDT", "interval": "1m"}
SUBSCRIBE = {"event_type": "subscribe", **ASKED, "mls": True}
UNSUBSCRIBE = {"event_type": "unsubscribe", **ASKED}
NAMES = {name: ASKED[name] for name in ("exchange", "base_id", "quote_id", "interval")}
BAD_EVENT = '{"detail":"event_type must be subscribe or unsubscribe"}'


@pytest.fixture
async def live(database: Database, redis_client: Redis) -> AsyncIterator[Live]:
    async with web_with_stream(database, redis_client) as web:
        yield web


async def hear_nothing_more(socket: ClientConnection) -> None:
    """A question whose answer is known is answered next."""
    await say(socket, {"event_type": "?"})
    assert "event_type must be subscribe or unsubscribe" in await hear(socket)


async def test_an_old_client_sees_the_current_candle_at_once_then_each_change_and_nothing_else(live: Live) -> None:
    first, second, third = bar(MINUTE, 101.5), bar(MINUTE, 0.00001234), bar(MINUTE + MINUTE_MS, 103.25)
    await live.stream(first)
    async with live.client() as socket:
        await say(socket, SUBSCRIBE)
        assert await hear(socket) == text_of(first)
        await live.stream(first)
        await live.stream(second)
        assert await hear(socket) == text_of(second)
        await live.stream(second, source=2)
        await live.stream(third)
        assert await hear(socket) == text_of(third)
        await hear_nothing_more(socket)


async def test_times_are_seconds_without_mls(live: Live) -> None:
    await live.stream(bar(MINUTE, 101.5))
    async with live.client() as socket:
        await say(socket, SUBSCRIBE | {"mls": False})
        assert await hear(socket) == text_of(bar(MINUTE, 101.5), unit_ms=1000)


async def test_an_old_client_is_never_told_an_older_bar(live: Live) -> None:
    await live.stream(bar(MINUTE, 101))
    async with live.client() as socket:
        await say(socket, SUBSCRIBE)
        await hear(socket)
        await live.stream(bar(MINUTE + MINUTE_MS, 102))
        assert await hear(socket) == text_of(bar(MINUTE + MINUTE_MS, 102))
        await live.stream(bar(MINUTE, 100.5), source=3, corrected=True)
        await live.stream(bar(MINUTE + MINUTE_MS, 103))
        assert await hear(socket) == text_of(bar(MINUTE + MINUTE_MS, 103))


OLD_ANSWERS = [
    ({"event_type": "subscrib"}, BAD_EVENT),
    ({}, BAD_EVENT),
    ([1], BAD_EVENT),
    (SUBSCRIBE | {"interval": "7m"}, '{"message":"interval must be in the determined list"}'),
    (UNSUBSCRIBE | {"interval": "7m"}, '{"detail":"interval must be in the determined list"}'),
    (UNSUBSCRIBE, '{"detail":"successfully unsubscribed from binance_BTC_USDT_1m"}'),
    (UNSUBSCRIBE | {"base_id": "X"}, '{"detail":"successfully unsubscribed from binance_X_USDT_1m"}'),
]


async def test_an_old_client_gets_the_predecessors_answers_to_the_letter(live: Live) -> None:
    async with live.client() as socket:
        for said, answer in OLD_ANSWERS:
            await say(socket, said)
            assert await hear(socket) == answer
        await hear_nothing_more(socket)


async def test_an_old_client_is_told_nothing_where_the_predecessor_was_silent(live: Live) -> None:
    without_mls = {name: value for name, value in SUBSCRIBE.items() if name != "mls"}
    async with live.client() as socket:
        for said in (
            without_mls,
            SUBSCRIBE | {"data_type": "x"},
            SUBSCRIBE | {"base_id": 7},
            SUBSCRIBE | {"base_id": "X"},
        ):
            await say(socket, said)
        await hear_nothing_more(socket)


async def test_what_is_no_json_is_answered_and_closes_nothing(live: Live) -> None:
    await live.stream(bar(MINUTE, 101.5))
    async with live.client() as socket:
        for said in ("subscribe please", "{", "[" * 10_000, b"\xff\x00"):
            await socket.send(said)
            (sentence,) = (await hear_json(socket)).values()
            assert sentence.startswith('Messages must be JSON, such as {"event_type": "ping"}'), sentence
        await say(socket, SUBSCRIBE)
        assert await hear(socket) == text_of(bar(MINUTE, 101.5))


async def test_keys_without_quotes_are_understood_as_the_predecessors_page_wrote_them(live: Live) -> None:
    await live.stream(bar(MINUTE, 101.5))
    async with live.client() as socket:
        await say(
            socket,
            '{event_type: "subscribe", data_type: "ohlcv", exchange: "binance", base_id: "BTC", quote_id: "USDT", '
            'interval: "1m", mls: true}',
        )
        assert await hear(socket) == text_of(bar(MINUTE, 101.5))
        await say(socket, '{event_type: "x"}')
        assert await hear(socket) == BAD_EVENT


async def test_an_unknown_interval_costs_one_answer_and_leaves_nothing_running(live: Live) -> None:
    async with live.client() as socket:
        await hear_nothing_more(socket)
        before = len(asyncio.all_tasks())
        for _ in range(50):
            await say(socket, SUBSCRIBE | {"interval": "7m"})
            assert await hear(socket) == '{"message":"interval must be in the determined list"}'
        assert len(asyncio.all_tasks()) == before
        await live.stream(bar(MINUTE, 101.5))
        await say(socket, SUBSCRIBE)
        assert await hear(socket) == text_of(bar(MINUTE, 101.5))


async def test_a_second_subscribe_replaces_the_first_and_one_unsubscribe_ends_it(live: Live) -> None:
    await live.stream(bar(MINUTE, 101))
    async with live.client() as socket:
        await say(socket, SUBSCRIBE)
        assert await hear(socket) == text_of(bar(MINUTE, 101))
        await say(socket, SUBSCRIBE | {"mls": False})
        assert await hear(socket) == text_of(bar(MINUTE, 101), unit_ms=1000)
        await live.stream(bar(MINUTE, 102))
        assert await hear(socket) == text_of(bar(MINUTE, 102), unit_ms=1000)
        await say(socket, UNSUBSCRIBE)
        assert "successfully" in await hear(socket)
        await live.stream(bar(MINUTE, 103))
        async with live.client() as other:
            await say(other, SUBSCRIBE)
            assert await hear(other) == text_of(bar(MINUTE, 103))
        await hear_nothing_more(socket)


async def test_tags_say_whose_bar_it_is_and_what_became_of_it(live: Live) -> None:
    async with live.client() as socket:
        await say(socket, SUBSCRIBE | {"tags": True})
        assert await hear_json(socket) == {"event": "subscribed", **NAMES, "mls": True}
        await hear_nothing_more(socket)  # the board is ready, and what comes now is heard from the stream
        told = []
        for one, source, corrected in [
            (bar(MINUTE, 101), 0, False),
            (bar(MINUTE + MINUTE_MS, 102), 0, False),
            (bar(MINUTE, 101), 2, False),
            (bar(MINUTE, 100.5), 3, True),
            (bar(MINUTE - 60 * MINUTE_MS, 99), 3, True),
        ]:
            await live.stream(one, source=source, corrected=corrected)
            told.append(await hear_json(socket))
        assert [(t["time"], t["close"], t["closed"], t["corrected"]) for t in told] == [
            (MINUTE, 101, False, False),
            (MINUTE + MINUTE_MS, 102, False, False),
            (MINUTE, 101, True, False),
            (MINUTE, 100.5, True, True),
            (MINUTE - 60 * MINUTE_MS, 99, True, True),
        ]
        assert all(t.items() >= NAMES.items() for t in told)
        places = [t["seq"].rpartition(":")[2].split("-") for t in told]
        assert places == sorted(places, key=lambda place: (int(place[0]), int(place[1])))


async def test_with_tags_every_refusal_names_field_and_allowed(live: Live) -> None:
    tags = {"tags": True}
    async with live.client() as socket:
        for said, field, allowed in [
            ({"event_type": "x"}, "event_type", "subscribe, unsubscribe"),
            (SUBSCRIBE | {"interval": "7x"}, "interval", ALLOWED),
            (SUBSCRIBE | {"exchange": "mtgox"}, "exchange", "binance, bitfinex, bittrex"),
            (SUBSCRIBE | {"base_id": "BTCC"}, "base_id", "BTC/USDT"),
            (SUBSCRIBE | {"data_type": "trades"}, "data_type", "ohlcv, status"),
            ({k: v for k, v in SUBSCRIBE.items() if k != "mls"}, "mls", "true, false"),
            (UNSUBSCRIBE, "", ""),
        ]:
            await say(socket, said | tags)
            answer = await hear_json(socket)
            assert (answer["event"], answer["field"], answer["allowed"]) == ("error", field, allowed)


async def test_the_exchanges_own_spelling_subscribes_and_unsubscribes_the_same_market(
    live: Live, database: Database
) -> None:
    await store(database, UST, [])
    native = {"exchange": "bitfinex", "quote_id": "UST", "tags": True}
    normal = NAMES | {"exchange": "bitfinex"}
    async with live.client() as socket:
        await say(socket, SUBSCRIBE | native)
        assert await hear_json(socket) == {"event": "subscribed", **normal, "mls": True}
        await live.stream(bar(MINUTE, 101), market=UST)
        assert (await hear_json(socket)).items() >= normal.items()
        await say(socket, UNSUBSCRIBE | native | {"quote_id": "USDT"})
        assert (await hear_json(socket)).items() >= ({"event": "unsubscribed"} | normal).items()


async def test_a_frame_is_encoded_once_for_all_who_want_it(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    from web.live import board

    made = []
    encode = board.frame
    monkeypatch.setattr(board, "frame", lambda *told: made.append(encode(*told)) or made[-1])
    async with live.client() as one, live.client() as two, live.client() as three:
        for socket, mls in ((one, True), (two, True), (three, False)):
            await say(socket, SUBSCRIBE | {"mls": mls})
            await hear_nothing_more(socket)
        await live.stream(bar(MINUTE, 101))
        heard = [await hear(socket) for socket in (one, two, three)]
    assert heard == [text_of(bar(MINUTE, 101))] * 2 + [text_of(bar(MINUTE, 101), unit_ms=1000)]
    assert made == [heard[0], heard[2]]


async def test_a_client_that_reads_nothing_delays_nobody_and_then_sees_the_newest(live: Live) -> None:
    async with live.client() as quick, connect(f"ws://{live.address}/api/ohlcvs", max_queue=1) as slow:
        for socket in (quick, slow):
            await say(socket, SUBSCRIBE)
        slow.transport.pause_reading()
        last = 20_000
        for start in range(0, last, 1000):
            await live.stream(*(bar(MINUTE, 100 + n, volume=n + 0.25) for n in range(start + 1, start + 1001)))
        newest = text_of(bar(MINUTE, 100 + last, volume=last + 0.25))
        while await hear(quick) != newest:
            pass
        slow.transport.resume_reading()
        frames = 1
        while await hear(slow) != newest:
            frames += 1
    assert frames < last


async def test_connections_leave_no_thread_and_no_task_behind(live: Live) -> None:
    async with live.client() as socket:
        await hear_nothing_more(socket)
    await settled(lambda: not live_boards())
    threads, tasks = threading.active_count(), len(asyncio.all_tasks())
    await live.stream(bar(MINUTE, 101))
    for _ in range(20):
        async with live.client() as socket:
            await say(socket, SUBSCRIBE)
            await hear(socket)
    await settled(lambda: len(asyncio.all_tasks()) <= tasks)
    assert threading.active_count() <= threads


def live_boards() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("follow")]


async def settled(condition: Any) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - what ended tells nobody
            await asyncio.sleep(0.01)


async def test_after_an_outage_of_redis_the_stream_goes_on(database: Database, redis_client: Redis) -> None:
    deps = web_deps(database, redis_client, SetClock())
    await store(database, BTC, [])
    feed = Flaky(deps.feed)
    async with listening(replace(deps, feed=feed)) as address:
        live = Live(address, deps, SetClock(), LiveSink(redis_client, Clock(), [BTC]))
        async with live.client() as socket:
            await say(socket, SUBSCRIBE)
            await hear_nothing_more(socket)
            feed.away = True
            await settled(lambda: feed.refused > 0)
            await live.stream(bar(MINUTE, 101))
            feed.away = False
            assert await hear(socket) == text_of(bar(MINUTE, 101))


class Flaky:
    """A feed whose Redis goes away and comes back."""

    def __init__(self, feed: Any) -> None:
        self._feed, self.away, self.refused = feed, False, 0

    def __getattr__(self, name: str) -> Any:
        async def ask(*args: Any, **kwargs: Any) -> Any:
            if self.away:
                self.refused += 1
                raise Retryable("Redis does not serve")
            return await getattr(self._feed, name)(*args, **kwargs)

        return ask


async def test_the_hello_of_api_test_is_the_predecessors(live: Live) -> None:
    async with connect(f"ws://{live.address}/api/test") as socket:
        assert await hear(socket) == '{"detail":"Hello WebSocket"}'
        with pytest.raises(ConnectionClosed):
            await hear(socket)
