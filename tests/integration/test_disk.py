"""The database's disk: what is free, what the next week brings, and who is warned."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import make_url
from structlog.testing import capture_logs

from app import disk, report, running
from app.disk import Disk, Room
from app.running import Running, Server
from app.settings import Settings, load_settings
from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.plan import PlanStore
from app.stores.rollups import RollupStore
from app.stores.sizes import TYPICAL, CandleBytes, SizeStore
from app.stores.symbols import SymbolStore
from app.tiers import Tier
from common.clock import Clock
from common.span import DAY_MS, MINUTE_MS, Span, floor_minute
from tests.fixtures.live import running as running_task
from tests.fixtures.postgres import free_port
from tests.fixtures.web import BTC, NOW_MS, PEPE, UST

CANDLE = CandleBytes(200, Tier.PLAIN, measured=False)
GB = 1_000_000_000


@pytest.fixture
def settings(postgres_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Of a server that is named by its host, with a folder on its disk."""
    environ = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_url, "DATA_DIR": str(tmp_path)}
    named = {"POSTGRES_HOST": make_url(postgres_url).host or "", "DATABASE_DISK": str(tmp_path)}
    return load_settings(environ | named, tmp_path / "none")


@pytest.mark.parametrize(
    ("seen", "coming", "warning"),
    [
        (None, 10**12, ""),
        (Disk(50 * GB, 100 * GB), 250_000_000, ""),
        (Disk(90 * GB, 2000 * GB), 0, ""),
        (
            Disk(50 * GB, 100 * GB),
            250_000_001,
            "The disk will be full: 50.0 GB of 100.0 GB are free on the database's disk, and seven days of streams"
            " and planned fetches need up to 50.0 GB; make room, fetch less, or keep minutes for fewer days"
            " (RETAIN_MINUTES_DAYS).",
        ),
        (
            Disk(9 * GB, 100 * GB),
            0,
            "The disk is nearly full: 9.0 GB of 100.0 GB are free on the database's disk; make room, fetch less,"
            " or keep minutes for fewer days (RETAIN_MINUTES_DAYS).",
        ),
    ],
)
def test_a_disk_is_warned_about_when_a_week_does_not_fit_or_little_is_left(
    seen: Disk | None, coming: int, warning: str
) -> None:
    assert Room(seen, CANDLE, coming).warning == warning


async def test_the_next_week_brings_what_grew_within_the_last_day_and_what_is_planned(database: Database) -> None:
    now_ms = floor_minute(NOW_MS)
    for exchange, markets in {"binance": [BTC, PEPE], "bitfinex": [UST]}.items():
        await SymbolStore(database).upsert(exchange, markets, NOW_MS)
    ids = {key: one.id for key, one in (await SymbolStore(database).load()).items()}
    btc, pepe, ust = ids[BTC.key], ids[PEPE.key], ids[UST.key]
    assert await SizeStore(database).coming(now_ms) == 0
    grows, rests = Span(now_ms - 600 * MINUTE_MS, now_ms), Span(now_ms - 5 * DAY_MS, now_ms - 4 * DAY_MS)
    await CandleStore(database).write([], cover=[(btc, grows), (ust, rests)])
    week = 7 * 1440
    assert await SizeStore(database).coming(now_ms) == week
    plan = PlanStore(database, Clock(1e-9, now_ms))
    job = await plan.create("binance", [btc, pepe], Span(now_ms - DAY_MS, now_ms))
    planned = 1440 - 600 + 1440
    assert await SizeStore(database).coming(now_ms) == week + planned
    async with database.connection() as connection:
        lease = await connection.execute(
            "WITH taken AS (UPDATE fetch_job_symbols SET remaining = remaining - $3::text::tstzmultirange"
            " WHERE job_id = $1 AND symbol_id = $2 RETURNING 1)"
            " INSERT INTO fetch_leases (job_id, symbol_id, span, expires_at, worker)"
            " SELECT $1, $2, tstzrange($4, $5), $5, 'w' FROM taken",
            job,
            pepe,
            "{[2000-01-01,2100-01-01)}",
            now_ms - 100 * MINUTE_MS,
            now_ms,
        )
        assert lease == "INSERT 0 1"
    assert await SizeStore(database).coming(now_ms) == week + 840 + 100
    await plan.cancel(job)
    assert await SizeStore(database).coming(now_ms) == week


async def test_bytes_of_a_candle_are_measured_where_many_are_stored_on_every_tier(tier_database: Database) -> None:
    """The truth is by how much the whole database grew."""
    await SymbolStore(tier_database).upsert("binance", [BTC], NOW_MS)
    sizes, count = SizeStore(tier_database), 100_000
    before = await whole_size(tier_database)
    times = range(NOW_MS - count * MINUTE_MS, NOW_MS, MINUTE_MS)
    await CandleStore(tier_database).write(
        [StoredCandle(1, floor_minute(ms), 1.5, 2.5, 0.5, 1.25, 9.5, 14.2, 7, 3) for ms in times]
    )
    await RollupStore(tier_database).refresh()
    async with tier_database.connection() as connection:
        # A count that arrived after ANALYZE would be added to what that found.
        await connection.fetchval("SELECT pg_stat_force_next_flush()")
        await connection.execute("ANALYZE")
    found = await sizes.of_candle(enough=count - 5000)
    truth = (await whole_size(tier_database) - before) / count
    assert found.measured and 0.7 < found.bytes / truth < 1.1, (found, truth)
    assert await sizes.of_candle() == CandleBytes(TYPICAL[found.tier], found.tier, measured=False)


async def whole_size(database: Database) -> int:
    async with database.connection() as connection:
        size: int = await connection.fetchval("SELECT pg_database_size(current_database())")
    return size


async def test_status_says_what_is_free_and_a_full_disk_is_a_trouble(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = disk.see(settings)
    found = await report.make(settings)
    assert seen is not None and found.room is not None and found.room.disk is not None
    assert found.room.disk.total == seen.total
    monkeypatch.setattr(disk, "see", lambda _: Disk(GB, 100 * GB))
    assert (await report.make(settings)).troubles[-1] == Room(Disk(GB, 100 * GB), CANDLE, 0).warning


async def test_only_a_disk_of_this_machine_is_seen(settings: Settings, database: Database, tmp_path: Path) -> None:
    elsewhere = settings.model_copy(update={"postgres_host": "db.example"})
    unnamed = settings.model_copy(update={"database_disk": ""})
    away = settings.model_copy(update={"database_disk": str(tmp_path / "none")})
    assert [disk.see(one) for one in (elsewhere, unnamed, away)] == [None, None, None]
    url, file = make_url(settings.database_url), tmp_path / "password"
    file.write_text(url.password or "")
    server = Server(url.host or "", url.port or 0, url.username or "", url.database or "", file)
    own = Running(running.this_process(), False, "", tmp_path, postgres=server)
    address = server.url("postgresql")
    ours = load_settings({"DATABASE_URL": address, "DATA_DIR": str(tmp_path)}, tmp_path / "none")
    assert disk.see(ours) is None
    running.write(tmp_path, own)
    assert disk.see(ours) is not None
    running.write(tmp_path, replace(own, postgres=replace(server, port=1)))
    assert disk.see(ours) is None


async def test_up_warns_in_its_log_while_the_disk_fills_and_outlives_a_lost_server(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Disk(GB, 100 * GB)
    monkeypatch.setattr(disk, "see", lambda _: full)
    port = free_port()
    gone = load_settings(
        {"DATABASE_URL": f"postgresql://a:s3cret@127.0.0.1:{port}/x", "REDIS_URL": settings.redis_url}, "none"
    )
    for one, sentence in ((settings, Room(full, CANDLE, 0).warning), (gone, "the disk's room is not known")):
        with capture_logs() as logs:
            async with running_task(disk.watch(one, Clock(), every_s=0.01)), asyncio.timeout(60):
                while len(logs) < 2:  # noqa: ASYNC110 - a log tells nobody
                    await asyncio.sleep(0.01)
        assert {(line["log_level"], line["event"]) for line in logs} == {("warning", sentence)}


async def test_nothing_is_watched_where_the_disk_cannot_be_seen(settings: Settings) -> None:
    async with asyncio.timeout(60):
        await disk.watch(settings.model_copy(update={"database_disk": ""}), Clock())
