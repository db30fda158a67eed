"""The simulator's archives hold what its REST serves, and each fault makes them wrong in its own way."""

import hashlib
import io
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from common.span import DAY_MS, MINUTE_MS
from tests.fixtures.simulator import Simulator, clock_at, running_simulator

ROOT = "/binance/archive/data/spot"
DECEMBER_31, JANUARY_1 = (
    f"{ROOT}/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-12-31.zip",
    f"{ROOT}/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2025-01-01.zip",
)
JANUARY_1_MS = round(datetime(2025, 1, 1, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """It is Sunday 2025-02-02 12:00 there."""
    with running_simulator(clock_at(1.001, JANUARY_1_MS + 32 * DAY_MS + DAY_MS // 2)) as running:
        yield running


def fetched(simulator: Simulator, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(simulator.url + path, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def lines(archive: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        (name,) = opened.namelist()
        assert name.startswith("BTCUSDT-1m-") and name.endswith(".csv")
        return opened.read(name).decode().splitlines()


def test_an_archive_holds_what_rest_serves_in_microseconds_from_2025_on(simulator: Simulator) -> None:
    for path, start_ms, unit in ((DECEMBER_31, JANUARY_1_MS - DAY_MS, 1), (JANUARY_1, JANUARY_1_MS, 1000)):
        status, archive = fetched(simulator, path)
        rows = [line.split(",") for line in lines(archive)]
        assert status == 200 and {len(row) for row in rows} == {12}
        assert [int(row[0]) for row in rows] == [(start_ms + i * MINUTE_MS) * unit for i in range(1440)]
        truth = simulator.truth("binance", "BTC", "USDT", start_ms, start_ms + DAY_MS)
        assert [[int(row[0]) // unit, *map(float, row[1:6])] for row in rows] == truth
        name = path.rsplit("/", 1)[1]
        assert fetched(simulator, f"{path}.CHECKSUM") == (
            200,
            f"{hashlib.sha256(archive).hexdigest()}  {name}\n".encode(),
        )


def test_a_day_is_published_when_it_is_over_and_a_month_on_the_monday_after_it(simulator: Simulator) -> None:
    monthly, daily = f"{ROOT}/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-", f"{ROOT}/daily/klines/BTCUSDT/1m/BTCUSDT-1m-"
    asked = [
        f"{monthly}2025-01.zip.CHECKSUM",
        f"{daily}2025-02-01.zip.CHECKSUM",
        f"{daily}2025-02-02.zip.CHECKSUM",
        f"{daily}2025-02-30.zip.CHECKSUM",
        f"{daily}2025-01.zip.CHECKSUM",
        JANUARY_1.replace("BTCUSDT", "NONEUSDT"),
    ]
    assert [fetched(simulator, path)[0] for path in asked] == [404, 200, 404, 404, 404, 404]
    with running_simulator(clock_at(1.001, JANUARY_1_MS + 33 * DAY_MS)) as later:
        assert [fetched(later, path)[0] for path in asked[:3]] == [200, 200, 200]


def test_each_fault_concerns_its_archives_alone(simulator: Simulator) -> None:
    whole = {path: fetched(simulator, path) for path in (DECEMBER_31, JANUARY_1)}
    only = {"symbols": ["BTC/USDT"], "start": JANUARY_1_MS}
    digest = hashlib.sha256(whole[JANUARY_1][1]).hexdigest()

    simulator.fault("binance", "archive_missing", **only)
    assert fetched(simulator, JANUARY_1)[0] == 404
    simulator.fault("binance", "archive_missing", on=False)

    simulator.fault("binance", "archive_checksum", **only)
    assert digest not in fetched(simulator, f"{JANUARY_1}.CHECKSUM")[1].decode()
    simulator.fault("binance", "archive_checksum", on=False)

    simulator.fault("binance", "archive_truncated", **only)
    half = fetched(simulator, JANUARY_1)[1]
    assert half == whole[JANUARY_1][1][: len(half)]
    assert hashlib.sha256(half).hexdigest() in fetched(simulator, f"{JANUARY_1}.CHECKSUM")[1].decode()
    simulator.fault("binance", "archive_truncated", on=False)

    simulator.fault("binance", "archive_header", **only)
    headed = lines(fetched(simulator, JANUARY_1)[1])
    assert headed[0].startswith("open_time,open,high,low,close,volume,close_time,")
    assert headed[1:] == lines(whole[JANUARY_1][1])
    simulator.fault("binance", "archive_header", on=False)

    simulator.fault("binance", "archive_draft", **only)
    draft = lines(fetched(simulator, JANUARY_1)[1])
    assert (len(draft), draft[1:]) == (1380, lines(whole[JANUARY_1][1])[1:1380])
    assert fetched(simulator, DECEMBER_31) == whole[DECEMBER_31]
    simulator.fault("binance", "archive_draft", on=False)
    assert fetched(simulator, JANUARY_1) == whole[JANUARY_1]

    simulator.fault("binance", "truncate", count=1)
    assert fetched(simulator, JANUARY_1)[1] == half
    assert {fetched(simulator, path) == whole[path] for path in whole} == {True}
