"""WebSocket /api/ohlcvs: streams, wildcards, snapshots and going on after a drop, over real servers."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect

from app.stores.database import Database
from app.stores.latest import LiveSink
from common.clock import Clock
from common.market import Bar, Instrument
from common.span import DAY_MS, MINUTE_MS, floor_minute
from tests.fixtures.live_web import LIMIT_S, MINUTE, Live, bar, hear_json, say, web_with_stream
from tests.fixtures.played_minutes import PlayedMinutes
from tests.fixtures.web import BTC, NOW_MS, PEPE, UST, SetClock, every_minute, listening, minutes, store, web_deps
from web.live.streams import timeframe_of

BTC_1M = "binance:BTC:USDT@1m"
SUBSCRIBE = {"event_type": "subscribe", "streams": [BTC_1M]}


@pytest.fixture
async def live(database: Database, redis_client: Redis) -> AsyncIterator[Live]:
    async with web_with_stream(database, redis_client) as web:
        yield web


def candle(one: Bar, stream: str = BTC_1M, *, closed: bool = False, corrected: bool = False) -> dict[str, Any]:
    """What is told of a bar, without its seq."""
    names = ("time", "open", "high", "low", "close", "volume")
    values = dict(zip(names, one[:6], strict=True))
    return {"stream": stream, **values, "closed": closed, "corrected": corrected}


async def ask(socket: ClientConnection, **message: Any) -> Any:
    """The next thing that is said after this."""
    await say(socket, message)
    return await hear_json(socket)


async def hear_candle(socket: ClientConnection) -> dict[str, Any]:
    told: dict[str, Any] = await hear_json(socket)
    told.pop("seq")
    return told


async def hear_nothing_more(socket: ClientConnection) -> None:
    """A question whose answer is known is answered next."""
    assert (await ask(socket, event_type="ping", id="last"))["id"] == "last"


async def test_one_message_subscribes_several_streams_and_each_candle_says_whose_it_is(
    live: Live, database: Database
) -> None:
    await store(database, UST, [])
    async with live.client() as socket:
        streams = [BTC_1M, "bitfinex:BTC:UST@5", "Binance:btc:usdt@24h"]
        acknowledged = await ask(socket, event_type="subscribe", id=7, streams=streams)
        spelled = [BTC_1M, "bitfinex:BTC:USDT@5m", "binance:BTC:USDT@1D"]
        assert acknowledged == {"event": "subscribed", "id": 7, "streams": spelled}
        await hear_nothing_more(socket)
        await live.stream(bar(MINUTE, 101))
        await live.stream(bar(MINUTE, 102), market=UST)
        told = [await hear_candle(socket) for _ in range(3)]
    five, day = MINUTE - MINUTE % (5 * MINUTE_MS), MINUTE - MINUTE % DAY_MS
    by_stream = {one["stream"]: one for one in told}
    assert by_stream == {
        BTC_1M: candle(bar(MINUTE, 101)),
        "binance:BTC:USDT@1D": candle(bar(day, 101), "binance:BTC:USDT@1D"),
        "bitfinex:BTC:USDT@5m": candle(bar(five, 102), "bitfinex:BTC:USDT@5m"),
    }


async def test_wildcards_select_what_trades_and_take_away_what_they_selected(
    live: Live, database: Database
) -> None:
    await store(database, PEPE, [])
    async with live.client() as socket:
        acknowledged = await ask(socket, event_type="subscribe", streams=["binance:*:USDT@1m"])
        assert sorted(acknowledged["streams"]) == [BTC_1M, "binance:PEPE:USDT@1m"]
        await hear_nothing_more(socket)
        for market in (BTC, PEPE):
            await live.stream(bar(MINUTE, 101), market=market)
        told = [await hear_candle(socket) for _ in range(2)]
        assert told == [candle(bar(MINUTE, 101)), candle(bar(MINUTE, 101), "binance:PEPE:USDT@1m")]
        gone = await ask(socket, event_type="unsubscribe", streams=["*:P*:*@*"])
        assert gone == {"event": "unsubscribed", "streams": ["binance:PEPE:USDT@1m"]}
        for market in (PEPE, BTC):
            await live.stream(bar(MINUTE, 102), market=market)
        assert await hear_candle(socket) == candle(bar(MINUTE, 102))
        await hear_nothing_more(socket)


REFUSED = [
    ({"streams": ["BTC"]}, "streams", "'BTC' is no stream"),
    ({"streams": ["binance:BTC:USDT@7x"]}, "streams", "Stream 'binance:BTC:USDT@7x': Unknown interval '7x'"),
    ({"streams": ["binance:BTC:USDT@1D@Moon"]}, "streams", "Unknown tz 'Moon'"),
    ({"streams": ["binance:BTC:USDT@1D@UTC@now"]}, "streams", "the origin must be UTC milliseconds"),
    ({"streams": ["binance:BTCC:USDT@1m"]}, "streams", "did you mean BTC/USDT?"),
    ({"streams": ["mtgox:BTC:USDT@1m"]}, "streams", "Unknown exchange 'mtgox'"),
    ({"streams": ["binance:X*:USDT@1m"]}, "streams", "selects no market that trades"),
    ({"streams": ["binance:BTC:USDT@*"]}, "streams", "Unknown interval '*'"),
    ({"streams": [BTC_1M, "nothing"]}, "streams", "'nothing' is no stream"),
    ({"streams": []}, "streams", "streams holds 0; use 1 to 1000 streams."),
    ({"streams": BTC_1M}, "streams", "streams: expected array, got str."),
    ({"snapshot": 501}, "snapshot", "snapshot must be 0 to 500, not 501."),
    ({"snapshot": "all"}, "snapshot", "snapshot: expected int, got str."),
    ({"resume_from": "yesterday"}, "resume_from", "'yesterday' is no seq"),
    ({"resume_from": {"okx": "a:1-1-1"}}, "resume_from", "No stream is of 'okx'."),
    ({"snapshots": 5}, "snapshots", "snapshots is no field of this message"),
    ({"event_type": "dance"}, "event_type", "event_type must be one of subscribe, unsubscribe, configure"),
    ({"event_type": "configure", "streams": None}, "streams", "streams is no field of this message"),
]


@pytest.mark.parametrize(("changes", "field", "sentence"), REFUSED, ids=[str(one[0]) for one in REFUSED])
async def test_what_cannot_be_is_told_in_a_sentence_and_changes_nothing(
    live: Live, changes: dict[str, Any], field: str, sentence: str
) -> None:
    async with live.client() as socket:
        refused = await ask(socket, **(SUBSCRIBE | {"id": "a"} | changes))
        assert (refused["event"], refused["id"], refused["field"]) == ("error", "a", field), refused
        assert sentence in refused["detail"]
        assert set(refused) == {"event", "id", "detail", "field", "allowed"}
        await live.stream(bar(MINUTE, 101))
        await hear_nothing_more(socket)


async def test_every_timeframe_and_zone_has_its_exact_running_bar(database: Database, redis_client: Redis) -> None:
    now_ms = NOW_MS - NOW_MS % (420 * MINUTE_MS) + 3 * MINUTE_MS  # three minutes into a bucket of 7 minutes
    deps, played = await playing(database, redis_client, now_ms)
    names = ["2m", "7m", "45m", "2h", "5h", "1D@Asia/Tokyo", "2D", "7D@America/New_York", "3M"]
    names.append("1D@UTC@946857900000")
    history = minutes(every_minute(floor_minute(now_ms) - 3000 * MINUTE_MS, 3010))
    await played.start(history[:2990], history[2990:3000])
    async with listening(deps) as address, connect(f"ws://{address}/api/ohlcvs", max_queue=4096) as socket:
        streams = [f"binance:BTC:USDT@{name}" for name in names]
        assert (await ask(socket, event_type="subscribe", streams=streams))["event"] == "subscribed"
        seen = Seen()
        for one in history[3000:]:
            await played.run(one, 0.5)
            await seen.until(socket, played, names, one.open_ms)
            await played.close(one)
            await seen.until(socket, played, names, one.open_ms)


class Seen:
    """What one client was told, over several connections."""

    def __init__(self) -> None:
        self.last: dict[tuple[str, int], dict[str, Any]] = {}
        self.all: list[dict[str, Any]] = []
        self.seq = ""

    def take(self, message: Any) -> None:
        told = message.get("candles", [message] if "time" in message else [])
        for one in told:
            self.last[one["stream"], one["time"]] = one
        self.all += told
        self.seq = message.get("seq") or (told[-1]["seq"] if told else None) or self.seq

    def states(self, stream: str, at: int) -> list[tuple[Any, ...]]:
        """All that was told of one bar."""
        own = [one for one in self.all if (one["stream"], one["time"]) == (stream, at)]
        return [(stream, at), *((one["volume"], one["closed"], one["seq"]) for one in own)]

    async def until(self, socket: ClientConnection, played: PlayedMinutes, names: list[str], open_ms: int) -> None:
        """Read until the bars of that minute were told as they are."""
        frames = {f"binance:BTC:USDT@{name}": timeframe_of(*name.split("@")[:2], *origin(name)) for name in names}
        wanted = {
            (stream, frame.floor(open_ms)): played.bars(frame)[frame.floor(open_ms)]
            for stream, frame in frames.items()
        }
        try:
            async with asyncio.timeout(LIMIT_S):
                while not all(self.has(key, one) for key, one in wanted.items()):
                    self.take(await hear_json(socket))
        except TimeoutError:
            wrong = {key: (self.last.get(key), one) for key, one in wanted.items() if not self.has(key, one)}
            raise AssertionError(wrong) from None

    def has(self, key: tuple[str, int], wanted: Bar) -> bool:
        told = self.last.get(key, {})
        prices = [told.get(name) for name in ("open", "high", "low", "close")]
        return prices == list(wanted[1:5]) and told["volume"] == pytest.approx(wanted.volume, rel=1e-12)


def origin(name: str) -> list[int]:
    return [int(part) for part in name.split("@")[2:]]


async def playing(database: Database, redis: Redis, now_ms: int) -> tuple[Any, PlayedMinutes]:
    clock = SetClock(now_ms)
    return web_deps(database, redis, clock), PlayedMinutes(database, clock, redis)


@pytest.mark.parametrize("name", ["1m", "5m", "7m", "1h"])
async def test_a_snapshot_and_the_candles_after_it_have_no_hole_and_no_double(
    database: Database, redis_client: Redis, name: str
) -> None:
    now_ms = NOW_MS - NOW_MS % (420 * MINUTE_MS)
    deps, played = await playing(database, redis_client, now_ms)
    stream, frame = f"binance:BTC:USDT@{name}", timeframe_of(name)
    history = minutes(every_minute(floor_minute(now_ms) - 1000 * MINUTE_MS, 1016))
    await played.start(history[:996], history[996:1000])
    async with listening(deps) as address, connect(f"ws://{address}/api/ohlcvs", max_queue=4096) as socket:
        seen = Seen()

        async def play() -> None:
            for one in history[1000:]:
                for share in (0.3, 0.6, 0.9):
                    await played.run(one, share)
                await played.close(one)

        playing_on = asyncio.ensure_future(play())
        await say(socket, SUBSCRIBE | {"streams": [stream], "snapshot": 12})
        assert (await hear_json(socket))["event"] == "subscribed"
        snapshot = await hear_json(socket)
        seen.take(snapshot)
        await playing_on
        await seen.until(socket, played, [name], history[-1].open_ms)
        truth = played.bars(frame)
    times = [one["time"] for one in snapshot["candles"]]
    assert (snapshot["event"], len(times), times) == ("snapshot", 12, sorted(set(times)))
    assert [at for at in truth if at >= times[0]] == sorted({one["time"] for one in seen.all})
    for (_, at), one in seen.last.items():
        assert seen.has((stream, at), truth[at]), (one, truth[at])
    states = [msgspec.json.encode(one | {"seq": None}) for one in seen.all]
    assert len(states) == len(set(states)), "a state was told twice"


@pytest.mark.parametrize("seed", range(8))
async def test_a_client_that_was_dropped_goes_on_without_a_missing_or_doubled_bar(
    database: Database, redis_client: Redis, seed: int
) -> None:
    """It comes back to the same web or to another one, and is away for up to eight minutes."""
    chance = random.Random(seed)
    now_ms = NOW_MS - NOW_MS % (420 * MINUTE_MS)
    deps, played = await playing(database, redis_client, now_ms)
    history = minutes(every_minute(floor_minute(now_ms) - 200 * MINUTE_MS, 225), seed)
    await played.start(history[:196], history[196:200])
    seen = Seen()
    async with listening(deps) as first, listening(deps) as second, connect(url(first), max_queue=9999) as socket:
        watch = Watch(socket, played)
        await ask(socket, event_type="subscribe", streams=STREAMS)
        await watch.until(history[199])
        at, asked = 200, SUBSCRIBE | {"streams": STREAMS, "snapshot": 5}
        while at < len(history):
            async with connect(url(chance.choice((first, second))), max_queue=9999) as client:
                await say(client, asked)
                assert (await hear_json(client))["event"] == "subscribed"
                reading = asyncio.ensure_future(read(client, seen, chance.randrange(16, 50)))
                while at < len(history) and not reading.done():
                    await watch.play(history[at], chance)
                    await asyncio.wait([reading], timeout=0.05)  # or it would be a quarter of an hour behind
                    at += 1
                await asyncio.wait([reading], timeout=1)
                reading.cancel()
                client.transport.abort()
            for one in history[at : at + chance.choice((0, 1, 3, 8))]:
                await watch.play(one, chance)
                at += 1
            asked = SUBSCRIBE | {"streams": STREAMS, "resume_from": seen.seq}
        async with connect(url(first), max_queue=9999) as client:
            assert (await ask(client, **asked))["event"] == "subscribed"
            await seen.until(client, played, NAMES, history[-1].open_ms)
            await say(client, {"event_type": "ping"})
            while (told := await hear_json(client)).get("event") != "pong":
                seen.take(told)
    compare(seen, watch.seen, played)


NAMES = ["1m", "2m", "7m", "1h"]
STREAMS = [f"binance:BTC:USDT@{name}" for name in NAMES]


class Watch:
    """Plays minutes, each of which it sees itself."""

    def __init__(self, socket: ClientConnection, played: PlayedMinutes) -> None:
        self._socket, self._played, self.seen = socket, played, Seen()

    async def play(self, one: Bar, chance: random.Random) -> None:
        for share in sorted(chance.sample((0.2, 0.4, 0.6, 0.8), 2)):
            await self._played.run(one, share)
        await self._played.close(one)
        await self.until(one)

    async def until(self, one: Bar) -> None:
        await self.seen.until(self._socket, self._played, NAMES, one.open_ms)


def compare(seen: Seen, watched: Seen, played: PlayedMinutes) -> None:
    """With the truth, and with who was never away."""
    since = {stream: min(one["time"] for one in seen.all if one["stream"] == stream) for stream in STREAMS}
    for name, stream in zip(NAMES, STREAMS, strict=True):
        truth = {at: one for at, one in played.bars(timeframe_of(name)).items() if at >= since[stream]}
        assert truth.keys() == {at for of, at in seen.last if of == stream}
        assert [seen.states(stream, at) for at, one in truth.items() if not seen.has((stream, at), one)] == []
    final = {key: told["closed"] for key, told in watched.last.items() if key[1] >= since[key[0]]}
    assert final.items() <= {key: told["closed"] for key, told in seen.last.items()}.items()
    closings = [one for one in seen.all if one["closed"] and not one["corrected"]]
    assert doubled(closings, "stream", "time") == [], "closed twice"
    assert doubled([one for one in seen.all if one["seq"]], "stream", "time", "seq") == [], "told twice"


def doubled(told: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """What was told more than once of those that have the same values under these names."""
    counts = Counter(tuple(one[name] for name in names) for one in told)
    return [
        (one["stream"], one["time"], one["volume"], one["seq"])
        for one in told
        if counts[tuple(one[name] for name in names)] > 1
    ]


def url(address: str) -> str:
    return f"ws://{address}/api/ohlcvs"


async def read(socket: ClientConnection, seen: Seen, count: int) -> None:
    for _ in range(count):
        seen.take(await hear_json(socket))


async def test_who_was_away_for_too_long_is_told_so_and_gets_a_snapshot(live: Live, database: Database) -> None:
    await store(database, BTC, minutes(every_minute(MINUTE - 30 * MINUTE_MS, 30)))
    await live.stream(bar(MINUTE, 101))
    async with live.client() as socket:
        old = "deadbeef:1715776496000-0-5"
        await say(socket, SUBSCRIBE | {"id": 3, "resume_from": old, "snapshot": 4})
        assert (await hear_json(socket))["event"] == "subscribed"
        missed, snapshot = await hear_json(socket), await hear_json(socket)
        detail = "What binance told after this is not kept any more; snapshots follow."
        assert missed == {
            "event": "missed",
            "id": 3,
            "exchange": "binance",
            "resume_from": old,
            "detail": detail,
            "streams": [BTC_1M],
        }
        times = [one["time"] for one in snapshot["candles"]]
        assert (snapshot["event"], times) == ("snapshot", [MINUTE - n * MINUTE_MS for n in (3, 2, 1, 0)])
        await hear_nothing_more(socket)
        await live.stream(bar(MINUTE, 102))
        assert await hear_candle(socket) == candle(bar(MINUTE, 102))


async def test_one_seq_alone_cannot_mean_two_exchanges(live: Live, database: Database) -> None:
    await store(database, UST, [])
    streams = [BTC_1M, "bitfinex:BTC:USDT@1m"]
    async with live.client() as socket:
        await ask(socket, **SUBSCRIBE | {"streams": streams})
        await hear_nothing_more(socket)
        seqs = {}
        for market in (BTC, UST):
            await live.stream(bar(MINUTE, 101), market=market)
            seqs[market.exchange] = (await hear_json(socket))["seq"]
    async with live.client() as socket:
        await live.stream(bar(MINUTE, 105))
        await live.stream(bar(MINUTE, 106), market=UST)
        refused = await ask(socket, event_type="subscribe", streams=streams, resume_from=seqs["binance"])
        assert (refused["field"], refused["allowed"]) == ("resume_from", "an object with a seq for each exchange")
        await say(socket, SUBSCRIBE | {"streams": streams, "resume_from": seqs})
        assert (await hear_json(socket))["event"] == "subscribed"
        told = [await hear_candle(socket), await hear_candle(socket)]
        assert told == [candle(bar(MINUTE, 105)), candle(bar(MINUTE, 106), "bitfinex:BTC:USDT@1m")]


async def test_a_late_correction_is_told_as_one_to_who_watches_and_to_who_comes_back(
    live: Live, database: Database
) -> None:
    old = MINUTE - 5 * MINUTE_MS
    async with live.client() as socket:
        await say(socket, SUBSCRIBE)
        await hear_json(socket)
        await hear_nothing_more(socket)
        await live.stream(bar(MINUTE, 101))
        seq = (await hear_json(socket))["seq"]
        await live.stream(bar(old, 99), source=3, corrected=True)
        assert await hear_candle(socket) == candle(bar(old, 99), closed=True, corrected=True)
    async with live.client() as socket:
        await say(socket, SUBSCRIBE | {"resume_from": seq})
        assert (await hear_json(socket))["event"] == "subscribed"
        assert await hear_candle(socket) == candle(bar(old, 99), closed=True, corrected=True)
        await hear_nothing_more(socket)


async def test_a_new_market_of_the_exchange_needs_no_new_connection(live: Live, database: Database) -> None:
    eth = Instrument("binance", "ETH", "USDT", "ETHUSDT", "ETH", "USDT")
    async with live.client() as socket:
        await ask(socket, **SUBSCRIBE)
        await store(database, eth, [])
        assert (await ask(socket, event_type="subscribe", streams=["binance:ETH:USDT@1m"]))[
            "event"
        ] == "subscribed"
        await hear_nothing_more(socket)
        sink = LiveSink(live.sink._redis, Clock(), [eth])
        await sink.write([live.message(bar(MINUTE, 7), 0, False, eth)])
        assert await hear_candle(socket) == candle(bar(MINUTE, 7), "binance:ETH:USDT@1m")
