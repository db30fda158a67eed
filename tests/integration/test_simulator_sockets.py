"""The simulator's sockets speak the exchanges' protocols, and their finished candles are the truth."""

import asyncio
import base64
import json
import urllib.parse
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from decimal import Decimal
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


def kraken_row(row: dict[str, Any]) -> list[float]:
    start = datetime.fromisoformat(row["interval_begin"])
    return [round(start.timestamp() * 1000), *(row[name] for name in ("open", "high", "low", "close", "volume"))]


async def test_kraken_acknowledges_each_symbol_and_tells_true_candles_and_heartbeats() -> None:
    with running_simulator(clock_before_minute_end(RATE, 10)) as simulator:
        async with connect(f"{simulator.ws_url}/kraken/v2") as socket:
            assert json.loads(await socket.recv())["data"][0]["system"] == "online"
            params = {"channel": "ohlc", "symbol": ["DOGE/USD", "XDG/USD"], "interval": 1, "snapshot": True}
            await say(socket, {"method": "subscribe", "params": params, "req_id": 7})
            ack, snapshot, refusal = [json.loads(await socket.recv()) for _ in range(3)]
            assert (ack["success"], ack["req_id"], ack["result"]["symbol"]) == (True, 7, "DOGE/USD")
            assert (refusal["success"], refusal["symbol"]) == (False, "XDG/USD")
            assert refusal["error"] == "Currency pair not supported XDG/USD"
            assert (snapshot["channel"], snapshot["type"]) == ("ohlc", "snapshot")
            rows = [kraken_row(row) for row in snapshot["data"]]
            assert rows == sorted(rows)
            last, beats = {row[0]: row for row in rows}, 0
            async for frame in frames(socket):
                beats += frame["channel"] == "heartbeat"
                last |= {row[0]: row for row in map(kraken_row, frame.get("data", ()))}
                if beats and max(last) > rows[-1][0] + 2 * MINUTE_MS:
                    break
        # The newest minute may still run, the one before may not have been told to its end.
        finished = sorted(last)[:-2]
        truth = simulator.truth("kraken", "DOGE", "USD", finished[0], finished[-1] + MINUTE_MS)
        assert [last[ms] for ms in finished] == [row for row in truth if row[5]]


async def test_kraken_leaves_a_symbol_and_answers_pings_and_nonsense() -> None:
    with running_simulator() as simulator:
        async with connect(f"{simulator.ws_url}/kraken/v2") as socket:
            params = {"channel": "ohlc", "symbol": ["BTC/USD"], "interval": 1}
            for number, method in enumerate(("subscribe", "unsubscribe")):
                await say(socket, {"method": method, "params": params, "req_id": number})
                told = await first(socket, lambda frame: "method" in frame)
                assert told["success"] and told["result"]["symbol"] == "BTC/USD" and told["req_id"] == number
            await say(socket, {"method": "ping", "req_id": 3})
            assert json.loads(await socket.recv())["req_id"] == 3, "nothing is told of what was left"
            for text in ("{", "[]", '{"method":"dance"}'):
                await socket.send(text)
                assert json.loads(await socket.recv()) == {"error": "Malformed request", "success": False}
            await say(socket, {"method": "subscribe", "params": {**params, "interval": 7}})
            assert json.loads(await socket.recv())["success"] is False


async def test_kraken_announces_maintenance_and_its_end() -> None:
    with running_simulator() as simulator:
        async with connect(f"{simulator.ws_url}/kraken/v2") as socket:
            told = [json.loads(await socket.recv())]
            for on in (True, False):
                simulator.fault("kraken", "maintenance", on=on)
                told.append(json.loads(await socket.recv()))
                async with connect(f"{simulator.ws_url}/kraken/v2") as another:
                    told.append(json.loads(await another.recv()))
        systems = [frame["data"][0]["system"] for frame in told]
        assert systems == ["online", "maintenance", "maintenance", "online", "online"]


def coinbase_trades(frame: dict[str, Any]) -> list[dict[str, str]]:
    """Oldest first."""
    events = frame["events"] if frame.get("channel") == "market_trades" else []
    return [trade for event in events for trade in reversed(event["trades"])]


def aggregated(trades: Iterable[dict[str, str]], minute_ms: int) -> list[float]:
    """The candle of one minute, of trades that each are there once."""
    made = [one for one in trades if coinbase_ms(one) // MINUTE_MS * MINUTE_MS == minute_ms]
    ordered = sorted(made, key=lambda one: (coinbase_ms(one), int(one["trade_id"])))
    prices = [float(one["price"]) for one in ordered]
    volume = float(sum(Decimal(one["size"]) for one in ordered))
    return [minute_ms, prices[0], max(prices), min(prices), prices[-1], volume]


def coinbase_ms(trade: dict[str, str]) -> int:
    return round(datetime.fromisoformat(trade["time"]).timestamp() * 1000)


async def test_coinbase_tells_trades_of_which_the_true_candles_are_made_and_counts_its_frames() -> None:
    with running_simulator(clock_before_minute_end(RATE, 10)) as simulator:
        async with connect(f"{simulator.ws_url}/coinbase") as socket:
            await say(socket, {"type": "subscribe", "channel": "heartbeats"})
            asked = {"type": "subscribe", "product_ids": ["ETH-USD", "NO-PE"], "channel": "market_trades"}
            await say(socket, asked)
            confirmed, snapshot, refused, both = [json.loads(await socket.recv()) for _ in range(4)]
            assert confirmed["events"] == [{"subscriptions": {"heartbeats": ["heartbeats"]}}]
            assert snapshot["events"][0]["type"] == "snapshot"
            assert refused == {"type": "error", "message": "NO-PE is not a valid product"}
            told = {"heartbeats": ["heartbeats"], "market_trades": ["ETH-USD"]}
            assert both["events"] == [{"subscriptions": told}]
            trades = {one["trade_id"]: one for one in coinbase_trades(snapshot)}
            assert len(trades) == 100
            first_ms, last, beats = min(map(coinbase_ms, trades.values())), both["sequence_num"], 0
            begun_ms = max(map(coinbase_ms, trades.values()))
            async for frame in frames(socket):
                assert frame["sequence_num"] == last + 1
                last, beats = frame["sequence_num"], beats + (frame["channel"] == "heartbeats")
                trades |= {one["trade_id"]: one for one in coinbase_trades(frame)}
                newest_ms = max(map(coinbase_ms, trades.values()))
                if beats and newest_ms > begun_ms + 3 * MINUTE_MS:
                    break
        whole = range(first_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS, newest_ms - MINUTE_MS, MINUTE_MS)
        truth = simulator.truth("coinbase", "ETH", "USD", whole.start, whole[-1] + MINUTE_MS)
        assert [aggregated(trades.values(), minute_ms) for minute_ms in whole] == truth and len(truth) > 6


async def test_coinbase_leaves_a_product_and_answers_nonsense_with_an_error() -> None:
    with running_simulator() as simulator:
        async with connect(f"{simulator.ws_url}/coinbase") as socket:
            for kind, products in (("subscribe", {"market_trades": ["BTC-USD"]}), ("unsubscribe", {})):
                await say(socket, {"type": kind, "product_ids": ["BTC-USD"], "channel": "market_trades"})
                told = await first(socket, lambda frame: frame["channel"] == "subscriptions")
                assert told["events"] == [{"subscriptions": products}]
            for text in ("{", "[]", '{"type":"dance"}'):
                await socket.send(text)
                assert json.loads(await socket.recv()) == {"type": "error", "message": "Invalid request"}
            await say(socket, {"type": "subscribe", "product_ids": ["BTC-USD"], "channel": "candles"})
            assert json.loads(await socket.recv()) == {"type": "error", "message": "Invalid channel"}


async def test_coinbase_hangs_up_on_whoever_wants_no_heartbeats_when_nothing_is_traded() -> None:
    with running_simulator(clock_before_minute_end(RATE, 10)) as simulator:
        simulator.fault("coinbase", "no_trades")
        async with (
            connect(f"{simulator.ws_url}/coinbase") as idle,
            connect(f"{simulator.ws_url}/coinbase") as kept,
        ):
            await say(kept, {"type": "subscribe", "channel": "heartbeats"})
            await say(idle, {"type": "subscribe", "product_ids": ["BTC-USD"], "channel": "market_trades"})
            with pytest.raises(ConnectionClosed) as closed:
                async for _ in frames(idle):
                    pass
                await idle.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
            await first(kept, lambda frame: frame["channel"] == "heartbeats")


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


async def test_a_disconnect_can_be_announced_before_it_comes() -> None:
    with running_simulator(clock_before_minute_end(RATE, 30)) as simulator:
        async with connect(f"{simulator.ws_url}/binance/ws/btcusdt@kline_1m") as socket, asyncio.timeout(LIMIT_S):
            simulator.fault("binance", "disconnect", notice_s=60)
            said = [json.loads(await socket.recv())["e"]]
            with pytest.raises(ConnectionClosed):
                while True:
                    said.append(json.loads(await socket.recv())["e"])
        assert said.count("serverShutdown") == 1
        assert said.index("serverShutdown") < said.index("kline", 1)


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
