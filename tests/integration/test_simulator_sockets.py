"""The simulator's sockets speak the exchanges' protocols, and their finished candles are the truth."""

import asyncio
import base64
import json
import urllib.parse
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from common.span import MINUTE_MS
from tests.fixtures.simulator import Simulator, clock_before_minute_end, running_simulator

#: A minute takes a second and a half.
RATE, LIMIT_S = 40, 30


async def frames(socket: ClientConnection) -> AsyncIterator[Any]:
    async with asyncio.timeout(LIMIT_S):
        async for frame in socket:
            yield json.loads(frame)


async def first(socket: ClientConnection, wanted: Callable[[Any], bool]) -> Any:
    """The first frame that is wanted, within the limit."""
    async for frame in frames(socket):
        if wanted(frame):
            return frame
    raise AssertionError("the socket was closed")


async def say(socket: ClientConnection, message: object) -> None:
    await socket.send(json.dumps(message))


def kline_row(kline: dict[str, Any]) -> list[float]:
    return [kline["t"], *(float(kline[name]) for name in "ohlcv")]


def bittrex_url(simulator: Simulator) -> str:
    hub = urllib.parse.quote('[{"name":"c3"}]')
    told = simulator.get(f"/bittrex/signalr/negotiate?clientProtocol=1.5&connectionData={hub}")
    token = urllib.parse.quote(told["ConnectionToken"], safe="")
    query = f"transport=webSockets&connectionToken={token}&connectionData={hub}&clientProtocol=1.5"
    return f"{simulator.ws_url}/bittrex/signalr/connect?{query}"


def unpacked(frame: dict[str, Any]) -> list[dict[str, Any]]:
    """The candle messages of a SignalR frame."""
    packed = [entry["A"][0] for entry in frame.get("M", ()) if entry["M"] == "candle"]
    return [json.loads(zlib.decompress(base64.b64decode(text), -15)) for text in packed]


async def bitfinex_subscribed(socket: ClientConnection, key: str) -> int:
    await say(socket, {"event": "subscribe", "channel": "candles", "key": key})
    told = await first(socket, lambda frame: isinstance(frame, dict) and frame.get("event") == "subscribed")
    return int(told["chanId"])


async def test_binance_closes_each_minute_once_with_its_true_candle() -> None:
    with running_simulator(clock_before_minute_end(RATE, 10)) as simulator:
        closed: dict[tuple[str, int], list[float]] = {}
        streams = "btcusdt@kline_1m/xlmbtc@kline_1m"
        async with connect(f"{simulator.ws_url}/binance/stream?streams={streams}") as socket:
            async for frame in frames(socket):
                kline = frame["data"]["k"]
                assert frame["stream"] == f"{kline['s'].lower()}@kline_1m"
                if kline["x"]:
                    assert (kline["s"], kline["t"]) not in closed
                    assert frame["data"]["E"] > kline["T"]
                    closed[kline["s"], kline["t"]] = kline_row(kline)
                if len(closed) >= 5:
                    break
        starts = sorted(start_ms for native, start_ms in closed if native == "BTCUSDT")
        assert starts == list(range(starts[0], starts[-1] + 1, MINUTE_MS))
        for (native, start_ms), row in closed.items():
            base, quote = ("BTC", "USDT") if native == "BTCUSDT" else ("XLM", "BTC")
            assert simulator.truth("binance", base, quote, start_ms, start_ms + MINUTE_MS) == [row]


async def test_binance_obeys_live_control_on_an_unwrapped_socket() -> None:
    with running_simulator() as simulator:
        async with connect(f"{simulator.ws_url}/binance/ws/0") as socket:
            params = ["btcusdt@kline_1m", "nope@kline_1m"]
            await say(socket, {"method": "SUBSCRIBE", "params": params, "id": 1})
            assert json.loads(await socket.recv()) == {"result": None, "id": 1}
            kline = await first(socket, lambda frame: frame.get("e") == "kline")
            assert (kline["s"], kline["k"]["x"], kline["k"]["i"]) == ("BTCUSDT", False, "1m")
            await say(socket, {"method": "UNSUBSCRIBE", "params": params[:1], "id": "x"})
            await first(socket, lambda frame: frame == {"result": None, "id": "x"})
            await say(socket, {"method": "LIST_SUBSCRIPTIONS", "id": None})
            await first(socket, lambda frame: frame == {"result": params[1:], "id": None})
            await socket.send("{")
            assert json.loads(await socket.recv())["code"] == 3
            await say(socket, {"method": "DANCE", "id": 4})
            assert json.loads(await socket.recv())["code"] == 2


async def test_bitfinex_sends_snapshot_true_candles_earlier_ones_again_and_heartbeats() -> None:
    with running_simulator(clock_before_minute_end(RATE, 10)) as simulator:
        async with connect(f"{simulator.ws_url}/bitfinex/ws/2") as socket:
            assert json.loads(await socket.recv())["version"] == 2
            key = "trade:1m:tETHUST"
            await say(socket, {"event": "subscribe", "channel": "candles", "key": key, "subId": "mine"})
            ack = json.loads(await socket.recv())
            channel = ack.pop("chanId")
            assert ack == {"event": "subscribed", "channel": "candles", "key": key, "subId": "mine"}
            number, snapshot = json.loads(await socket.recv())
            assert number == channel and [row[0] for row in snapshot] == sorted(row[0] for row in snapshot)[::-1]
            last, newest_ms, beats, again = {row[0]: row for row in snapshot}, snapshot[0][0], 0, 0
            async for _, told in frames(socket):
                if told == "hb":
                    beats += 1
                else:
                    again += told[0] < newest_ms
                    last[told[0]], newest_ms = told, max(newest_ms, told[0])
                if beats and again and newest_ms > snapshot[0][0] + MINUTE_MS:
                    break
        # The newest minute may still run, the one before may not have been told to its end.
        finished = sorted(last)[:-2]
        truth = simulator.truth("bitfinex", "ETH", "USDT", finished[0], finished[-1] + MINUTE_MS)
        assert [[t, o, h, low, c, v] for t, o, c, h, low, v in (last[ms] for ms in finished)] == truth


async def test_bitfinex_counts_every_frame_of_the_socket_when_asked() -> None:
    with running_simulator(clock_before_minute_end(RATE, 30)) as simulator:
        async with connect(f"{simulator.ws_url}/bitfinex/ws/2") as socket:
            await say(socket, {"event": "conf", "flags": 65536 + 32768})
            for native in ("BTCUSD", "ETHUSD"):
                await say(socket, {"event": "subscribe", "channel": "candles", "key": f"trade:1m:t{native}"})
            tails: list[list[int]] = []
            async for frame in frames(socket):
                tails += [frame[2:]] if isinstance(frame, list) else []
                if len(tails) >= 8:
                    break
            assert [tail[0] for tail in tails] == list(range(1, 9))
            assert all(tail[1] <= simulator.clock.now_ms() for tail in tails)


async def test_bitfinex_refuses_as_the_wire_does_and_keeps_the_socket() -> None:
    with running_simulator(per_exchange={"bitfinex": 40}) as simulator:
        natives = [symbol.native for symbol in simulator.market.symbols("bitfinex")]
        async with connect(f"{simulator.ws_url}/bitfinex/ws/2", max_queue=None) as socket:
            for native in [*natives[:31], "NOPE", natives[0]]:
                await say(socket, {"event": "subscribe", "channel": "candles", "key": f"trade:1m:t{native}"})
            await say(socket, {"event": "subscribe", "channel": "trades", "symbol": "tBTCUSD"})
            await say(socket, {"event": "dance"})
            await socket.send("no json")
            await say(socket, {"event": "ping", "cid": 7})
            codes = []
            async for frame in frames(socket):
                if isinstance(frame, dict) and "code" in frame:
                    codes.append(frame["code"])
                if isinstance(frame, dict) and frame["event"] == "pong":
                    assert frame["cid"] == 7
                    break
            assert codes == [10305, 10300, 10301, 10300, 10000]


async def test_bitfinex_unsubscribes_a_channel_and_then_knows_it_no_more() -> None:
    with running_simulator() as simulator:
        async with connect(f"{simulator.ws_url}/bitfinex/ws/2") as socket:
            channel = await bitfinex_subscribed(socket, "trade:1m:tBTCUSD")
            told = []
            for _ in range(2):
                await say(socket, {"event": "unsubscribe", "chanId": channel})
                told.append(await first(socket, lambda frame: isinstance(frame, dict)))
            assert told[0] == {"event": "unsubscribed", "status": "OK", "chanId": channel}
            assert told[1]["code"] == 10401


async def test_bittrex_tells_placeholders_and_true_candles_in_sequence() -> None:
    with running_simulator(clock_before_minute_end(RATE, 10)) as simulator:
        async with connect(bittrex_url(simulator)) as socket:
            assert json.loads(await socket.recv())["S"] == 1
            channels = ["heartbeat", "candle_ETH-BTC_MINUTE_1", "candle_NO-PE_MINUTE_1"]
            await say(socket, {"H": "c3", "M": "Subscribe", "A": [channels], "I": 1})
            answer = await first(socket, lambda frame: "R" in frame)
            assert answer["I"] == "1" and [one["Success"] for one in answer["R"]] == [True, True, False]
            seen: list[dict[str, Any]] = []
            sorts = set()
            async for frame in frames(socket):
                sorts |= {"{}"} if frame == {} else {(entry["H"], entry["M"]) for entry in frame["M"]}
                seen += unpacked(frame)
                if len({message["delta"]["startsAt"] for message in seen}) >= 4:
                    break
            recent = simulator.get("/bittrex/v3/markets/ETH-BTC/candles/MINUTE_1/recent")
        assert sorts == {"{}", ("C3", "heartbeat"), ("C3", "candle")}
        sequence = [message["sequence"] for message in seen]
        assert sequence == list(range(1, len(seen) + 1))
        starts = sorted({message["delta"]["startsAt"] for message in seen})
        by_start = [[m["delta"] for m in seen if m["delta"]["startsAt"] == start] for start in starts]
        for told, before in zip(by_start[1:], by_start[:-1], strict=True):
            assert (told[0]["volume"], told[0]["open"]) == ("0", before[-1]["close"])
        final = {row["startsAt"]: row for row in recent}
        assert [told[-1] for told in by_start[:-1]] == [final[start] for start in starts[:-1]]


async def test_bittrex_lets_nobody_in_without_the_token_it_gave() -> None:
    with running_simulator() as simulator:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{simulator.ws_url}/bittrex/signalr/connect?connectionToken=lT/sa+")
        assert refused.value.response.status_code == 403


async def test_disconnect_hangs_up_on_everybody_with_each_exchanges_words() -> None:
    with running_simulator() as simulator:
        async with (
            connect(f"{simulator.ws_url}/binance/ws") as binance,
            connect(f"{simulator.ws_url}/bitfinex/ws/2") as bitfinex,
        ):
            await bitfinex.recv()
            simulator.fault("*", "disconnect")
            assert json.loads(await bitfinex.recv())["code"] == 20051
            for socket in (binance, bitfinex):
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
                assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
        async with connect(f"{simulator.ws_url}/binance/ws/btcusdt@kline_1m") as again:
            await again.recv()


async def test_disconnect_can_repeat() -> None:
    with running_simulator(clock_before_minute_end(RATE, 30)) as simulator:
        simulator.fault("binance", "disconnect", every_s=5)
        for _ in range(2):
            async with connect(f"{simulator.ws_url}/binance/ws") as socket, asyncio.timeout(LIMIT_S):
                with pytest.raises(ConnectionClosed):
                    await socket.recv()


async def test_maintenance_is_announced_then_nothing_comes_then_its_end() -> None:
    with running_simulator(clock_before_minute_end(RATE, 30)) as simulator:
        async with connect(f"{simulator.ws_url}/bitfinex/ws/2") as socket:
            await bitfinex_subscribed(socket, "trade:1m:tBTCUSD")
            simulator.fault("bitfinex", "maintenance")
            await first(socket, lambda frame: isinstance(frame, dict) and frame["code"] == 20060)
            # A heartbeat is fifteen seconds, in which a candle would have come.
            assert (await first(socket, lambda frame: True))[1] == "hb"
            simulator.fault("bitfinex", "maintenance", on=False)
            await first(socket, lambda frame: isinstance(frame, dict) and frame["code"] == 20061)
            await first(socket, lambda frame: isinstance(frame, list) and isinstance(frame[1], list))


async def test_silence_keeps_the_socket_open_without_a_candle() -> None:
    with running_simulator(clock_before_minute_end(RATE, 30)) as simulator:
        async with connect(f"{simulator.ws_url}/bitfinex/ws/2") as socket:
            simulator.fault("bitfinex", "silence", heartbeats=True)
            await bitfinex_subscribed(socket, "trade:1m:tBTCUSD")
            told = [json.loads(await socket.recv())[1] for _ in range(3)]
            assert isinstance(told[0], list) and told[1:] == ["hb", "hb"]


async def test_a_late_correction_follows_a_wrong_close() -> None:
    with running_simulator(clock_before_minute_end(RATE, 5)) as simulator:
        simulator.fault("binance", "late_correction", symbols=["ETHUSDT"], delay_s=10)
        async with connect(f"{simulator.ws_url}/binance/ws/ethusdt@kline_1m") as socket:
            wrong = (await first(socket, lambda frame: frame["k"]["x"]))["k"]
            right = (await first(socket, lambda frame: frame["k"]["x"]))["k"]
        truth = simulator.truth("binance", "ETH", "USDT", wrong["t"], wrong["t"] + MINUTE_MS)
        assert right["t"] == wrong["t"]
        assert [kline_row(right)] == truth != [kline_row(wrong)]
