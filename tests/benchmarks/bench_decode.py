"""Binance kline frames to candles on one core, against a bare typed decode of the same frames."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fetchers import registry

GOLDEN = Path(__file__).parents[1] / "golden/binance"
ROUNDS = 2_000
REPEATS = 9


class Kline(msgspec.Struct):
    t: int
    s: str
    i: str
    o: float
    c: float
    h: float
    l: float  # noqa: E741 - the wire's name
    v: float
    n: int
    x: bool
    q: float


class Event(msgspec.Struct):
    e: str
    k: Kline


class Frame(msgspec.Struct):
    stream: str
    data: Event


def seconds(frames: list[bytes], decode: Callable[[bytes], object]) -> float:
    started = time.perf_counter()
    for _ in range(ROUNDS):
        for frame in frames:
            decode(frame)
    return time.perf_counter() - started


@pytest.mark.benchmark
def test_a_kline_frame_becomes_a_candle_at_half_the_rate_of_a_bare_decode() -> None:
    lines = (GOLDEN / "frames.jsonl").read_bytes().splitlines()
    exchange = registry.get("binance")
    session = exchange.session(exchange.parse_instruments((GOLDEN / "instruments.json").read_bytes()).instruments)
    frames = [line for line in lines if b"@kline_1m" in line and b"OMGBUSD" not in line]
    assert [len(session.receive(frame)) for frame in frames] == [1] * 17

    bare = msgspec.json.Decoder(Frame, strict=False).decode
    # In turns, and the best of each, so that a busy machine slows both alike.
    runs = [(seconds(frames, session.receive), seconds(frames, bare)) for _ in range(REPEATS)]
    value, against = (ROUNDS * len(frames) / min(times) for times in zip(*runs, strict=True))
    figure = {"name": "binance kline frame to candle, one core", "value": round(value), "unit": "frames/s"}
    print(json.dumps(figure | {"against": round(against), "ratio": round(value / against, 3)}))
    assert value / against >= 0.5
