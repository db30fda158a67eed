"""`candlehouse status` tells the truth, names what is amiss, and never prints a password."""

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app import report
from app.report import Stream
from app.settings import Settings, load_settings
from app.stores import pulse
from app.stores.budget import RedisBudget
from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.errors import ErrorStore, FetchError
from app.stores.heartbeat import tell
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.market import Instrument
from common.span import MINUTE_MS, Span
from scripts.commands import status

NOW_MS = 1_700_000_040_000
CLOCK = Clock(1e-9, NOW_MS)


@pytest.fixture
def settings(postgres_url: str, redis_url: str, tmp_path: Path) -> Settings:
    environ = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_url, "DATA_DIR": str(tmp_path)}
    return load_settings({**environ, "EXCHANGES": "binance,bitfinex"}, tmp_path / "none")


async def test_each_stream_is_shown_as_it_said_and_a_silent_one_as_stopped(
    settings: Settings, redis_client: Redis
) -> None:
    told = {"state": "connecting", "connections": 0, "symbols": 8, "last_error": "no route to api.binance.com"}
    await tell(redis_client, "binance", told)
    found = await report.make(settings)
    assert found.streams == [
        Stream("binance", "connecting", 0, 8, None, "no route to api.binance.com"),
        Stream("bitfinex", "stopped", 0, 0, None, ""),
    ]
    assert found.troubles == ["binance is not live.", "bitfinex is not live."]


async def test_workers_that_take_no_messages_are_a_trouble_however_alive_they_are(
    settings: Settings, redis_client: Redis
) -> None:
    now_ms = Clock().now_ms()
    for exchange, minutes in (("binance", 20), ("bitfinex", 10)):
        await pulse.beat(redis_client, exchange, now_ms - minutes * MINUTE_MS)
    told = (
        "No worker of binance has taken a message for 20 minutes: it hangs, or beat does not run."
        " Start both again; their logs tell more."
    )
    assert [one for one in (await report.make(settings)).troubles if "worker" in one] == [told]


async def test_who_is_quiet_and_why_is_shown(
    settings: Settings, redis_client: Redis, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    budget = RedisBudget(redis_client, "binance", 4800, clock)
    await budget.settle(await budget.acquire(1200))
    until_ms = clock.now_ms() // 86_400_000 * 86_400_000 + 86_400_000 + 45_296_000
    await budget.refuse(418, until_ms, clock.now_ms())
    monkeypatch.setattr(status, "load_settings", lambda: settings)
    await asyncio.to_thread(_exit_code, status.status)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "rate units" in line]
    assert line == (
        "binance    1,200 of 4,800 rate units in the last minute, 0 requests wait;"
        f" quiet until {datetime.fromtimestamp(until_ms / 1000, UTC):%Y-%m-%d} 12:34:56 UTC (418)"
    )


@pytest.mark.parametrize(
    ("told", "live"),
    [
        ({"state": "connected", "last_candle_ms": str(NOW_MS - 60_000)}, True),
        ({"state": "connected", "last_candle_ms": str(NOW_MS - 200_000)}, False),
        ({"state": "silent", "last_candle_ms": str(NOW_MS)}, False),
        ({"state": "connected"}, False),
    ],
)
def test_live_means_a_recent_candle_not_only_a_connection(told: dict[str, str], live: bool) -> None:
    assert report.parse("binance", told, CLOCK).live is live


async def test_what_is_stored_is_counted(settings: Settings, database: Database) -> None:
    market = Instrument("binance", "BTC", "USDT", "BTCUSDT")
    await SymbolStore(database).upsert("binance", [market], NOW_MS)
    symbol_id = (await SymbolStore(database).load())[market.key].id
    start_ms = NOW_MS // MINUTE_MS * MINUTE_MS
    rows = [StoredCandle(symbol_id, start_ms + n * MINUTE_MS, 1, 1, 1, 1, 1, None, None, 3) for n in range(120)]
    cover = [(symbol_id, Span(start_ms, start_ms + 120 * MINUTE_MS))]
    await CandleStore(database).write(rows, cover=cover)
    async with database.connection() as connection:
        await connection.execute("ANALYZE candles")
    found = await report.make(settings)
    assert (found.candles, found.symbols, found.dirty, found.failures) == (120, 1, 1, 0)


async def test_a_failed_fetch_is_counted_until_it_is_repaired(settings: Settings, database: Database) -> None:
    span = Span(NOW_MS // MINUTE_MS * MINUTE_MS, NOW_MS // MINUTE_MS * MINUTE_MS + MINUTE_MS)
    market = Instrument("binance", "BTC", "USDT", "BTCUSDT")
    await SymbolStore(database).upsert("binance", [market], NOW_MS)
    symbol_id = (await SymbolStore(database).load())[market.key].id
    failure = FetchError("binance", "BTCUSDT", span, "Rejected", "no", 400, symbol_id=symbol_id)
    await ErrorStore(database).record(failure, NOW_MS)
    assert (await report.make(settings)).failures == 1
    await CandleStore(database).write([], cover=[(symbol_id, span)])
    await ErrorStore(database).mark_repaired(symbol_id, NOW_MS)
    assert (await report.make(settings)).failures == 0


async def test_a_server_that_is_away_is_a_sentence_and_the_other_is_still_asked(
    settings: Settings, free_port: int
) -> None:
    away = load_settings(
        {"DATABASE_URL": f"postgresql://a:s3cret@127.0.0.1:{free_port}/x", "REDIS_URL": settings.redis_url},
        "none",
    )
    found = await report.make(away)
    assert len(found.streams) == 2
    assert found.troubles[-1].startswith(f"PostgreSQL at 127.0.0.1:{free_port} cannot be reached: ")
    assert found.tier is None and not any("candles of" in line for line in status._lines(found))


async def test_the_lines_to_paste_open_the_servers_without_showing_a_password(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "load_settings", lambda: settings)
    stop = await asyncio.to_thread(_exit_code, status.status)
    said = capsys.readouterr().out
    password = settings.database_url.split(":")[2].split("@")[0]
    assert (stop, password in said, said.splitlines()[-2:]) == (
        1,
        False,
        ["  candlehouse psql", "  candlehouse redis-cli"],
    )
    assert "Storage tier plain." in said.splitlines()


async def test_a_horizon_is_shown_where_one_is_set(settings: Settings, database: Database) -> None:
    assert (await report.make(settings)).horizons == (0, None, None)
    async with database.connection() as connection:
        for symbol_id, day in ((1, "2024-01-01"), (2, "2024-01-01"), (3, "2024-05-01")):
            await connection.execute(
                f"INSERT INTO coverage (symbol_id, horizon) VALUES ({symbol_id}, '{day} 00:00+00')"
            )
    lines = list(status._lines(await report.make(settings)))
    told = "Minutes before 2024-01-01 to 2024-05-01 are dropped for 3 symbols; their bars are kept."
    assert told in lines


def _exit_code(call: Callable[[], None]) -> int:
    try:
        call()
    except Exception as end:  # typer's own way to say a status
        return int(getattr(end, "exit_code", -1))
    return 0


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
