"""Thousands of symbols are played without falling behind, and the command says what is wrong with its input."""

import asyncio
import json
import socket
from collections import ChainMap

import pytest
from typer import Typer
from typer.testing import CliRunner
from websockets.asyncio.client import connect

from common.clock import Clock
from common.span import MINUTE_MS
from scripts.commands.simulate import simulate
from scripts.simulator.feed import Feed
from scripts.simulator.listings import listings
from scripts.simulator.market import InventedMarket
from scripts.simulator.server import serve
from tests.fixtures.simulator import Simulator, clock_before_minute_end, running_simulator

SOCKETS, PER_SOCKET = 5, 500


async def closes(simulator: Simulator, streams: list[str]) -> dict[tuple[str, int], float]:
    """Of each stream its first closing message: the close."""
    told: dict[tuple[str, int], float] = {}
    async with asyncio.timeout(100), connect(f"{simulator.ws_url}/binance/stream", max_queue=None) as stream:
        await stream.send(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}))
        async for frame in stream:
            if '"x":true' in frame:
                kline = json.loads(frame)["data"]["k"]
                told[kline["s"], kline["t"]] = float(kline["c"])
                if len(told) >= len(streams):
                    return told
    raise AssertionError("the socket was closed")


async def test_the_same_minute_of_2500_symbols_closes_for_everybody() -> None:
    wanted = SOCKETS * PER_SOCKET
    with running_simulator(clock_before_minute_end(2, 8), per_exchange={"binance": wanted + 1}) as simulator:
        symbols = [one for one in simulator.market.symbols("binance") if one.status == "TRADING"][:wanted]
        streams = [f"{symbol.native.lower()}@kline_1m" for symbol in symbols]
        shards = [streams[at : at + PER_SOCKET] for at in range(0, wanted, PER_SOCKET)]
        told = dict(ChainMap(*await asyncio.gather(*(closes(simulator, shard) for shard in shards))))
        assert {native for native, _ in told} == {symbol.native for symbol in symbols}
        # All closed the minute under way, none had to wait for the next.
        (start_ms,) = {start_ms for _, start_ms in told}
        for symbol in symbols[::100]:
            truth = simulator.truth("binance", symbol.base, symbol.quote, start_ms, start_ms + MINUTE_MS)
            assert told[symbol.native, start_ms] == truth[0][4]


async def test_a_feed_that_fails_ends_the_server_instead_of_leaving_it_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(feed: Feed) -> None:
        raise LookupError("no such minute")

    monkeypatch.setattr(Feed, "run", fail)
    async with asyncio.timeout(30):
        with pytest.raises(RuntimeError, match="feeds ended"):
            await serve("127.0.0.1", 0, InventedMarket(listings()), Clock())


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["--port", "70000"], "port"), (["--symbols", "-1"], "symbols"), (["--recordings", "/nowhere"], "/nowhere")],
)
def test_bad_input_gets_one_sentence_and_status_2(arguments: list[str], word: str) -> None:
    said = run(arguments)
    assert said.count("\n") == 1 and word in said


def test_a_port_in_use_gets_one_sentence_and_status_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert (
            run(["--port", str(port)])
            == f"The simulator cannot listen on 127.0.0.1:{port}: Address already in use.\n"
        )


def run(arguments: list[str]) -> str:
    """What the command says on its way to status 2."""
    app = Typer()
    app.command()(simulate)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    return result.stderr
