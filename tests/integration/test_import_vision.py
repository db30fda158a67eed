"""Importing archives: exactly what they hold, once, checked; what they lack stays to be asked."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.imports.mirror import FolderMirror, HostMirror
from app.imports.vision import State, Told, VisionImport
from app.stores.archives import ArchiveStore
from app.stores.candles import CandleStore, StoredCandle
from app.stores.coverage import CoverageStore
from app.stores.database import Database
from app.stores.errors import ErrorStore
from app.stores.symbols import StoredSymbol, SymbolStore
from common.clock import Clock
from common.market import Instrument
from common.span import DAY_MS, MINUTE_MS, Span
from fetchers.binance_vision import Archive, parse_lines
from fetchers.files import FileHost
from tests.fixtures import archives
from tests.fixtures.simulator import Simulator, clock_at, running_simulator

ROWS = (
    "SELECT symbol_id, time, open, high, low, close, volume, quote_volume, trades, source FROM candles ORDER BY 2"
)


def ms(*date: int) -> int:
    return round(datetime(*date, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type]


#: Two months, one of either unit.
SPAN = Span(ms(2024, 12, 1), ms(2025, 2, 1))
DECEMBER = Archive("BTCUSDT", Span(ms(2024, 12, 1), ms(2025, 1, 1)))
JANUARY = Archive("BTCUSDT", Span(ms(2025, 1, 1), ms(2025, 2, 1)))


class Importing:
    """Imports archives of BTC/USDT; `told` are (file, state) of the last time, in the order of names."""

    def __init__(self, database: Database, market: StoredSymbol, clock: Clock) -> None:
        self.database, self.market, self.clock = database, market, clock
        self.heard: list[Told] = []
        self.hosts: list[FileHost] = []
        self.months = 0

    async def __call__(self, source: Path | str, span: Span = SPAN) -> list[tuple[str, State]]:
        job = self.job(source)
        await job.run([self.market], span)
        return self.told()

    def job(self, source: Path | str) -> VisionImport:
        self.heard.clear()
        self.months = 0
        stores = ArchiveStore(self.database), ErrorStore(self.database)
        told = self.clock, self.heard.append, self._month
        if isinstance(source, Path):
            return VisionImport(FolderMirror(source), *stores, *told, every_day=True)
        self.hosts.append(FileHost(source, self.clock))
        return VisionImport(HostMirror(self.hosts[-1]), *stores, *told)

    def _month(self) -> None:
        self.months += 1

    def told(self) -> list[tuple[str, State]]:
        return sorted((one.archive.name, one.state) for one in self.heard)

    async def stored(self) -> list[StoredCandle]:
        async with self.database.connection() as connection:
            return [StoredCandle(*row) for row in await connection.fetch(ROWS)]

    async def covered(self) -> list[Span]:
        return (await CoverageStore(self.database).covered([self.market.id]))[self.market.id]

    async def errors(self) -> list[tuple[str, bool]]:
        """What failed, and whether it was repaired since."""
        async with self.database.connection() as connection:
            query = "SELECT exception_message, repaired_at IS NOT NULL FROM ohlcvs_errors ORDER BY start_date"
            return [tuple(row) for row in await connection.fetch(query)]


@pytest.fixture
async def importing(database: Database) -> AsyncIterator[Importing]:
    symbols = SymbolStore(database)
    await symbols.upsert("binance", [Instrument("binance", "BTC", "USDT", "BTCUSDT")], 1)
    importing = Importing(database, (await symbols.load())["binance:spot:BTC/USDT"], Clock())
    yield importing
    for host in importing.hosts:
        await host.close()


def rows(archive: Archive, content: bytes) -> list[StoredCandle]:
    return [StoredCandle(1, *values, 3) for values in parse_lines(content)]


def whole(archive: Archive, unit: int) -> list[StoredCandle]:
    return rows(archive, archives.text(archive, unit))


def write_both(folder: Path) -> None:
    archives.write(folder, DECEMBER, archives.text(DECEMBER))
    archives.write(folder, JANUARY, archives.HEADER + archives.text(JANUARY, 1000))


async def test_months_of_both_units_are_stored_to_the_last_bit_and_only_once(
    importing: Importing, tmp_path: Path
) -> None:
    write_both(tmp_path)
    assert await importing(tmp_path) == [(DECEMBER.name, State.IMPORTED), (JANUARY.name, State.IMPORTED)]
    everything = whole(DECEMBER, 1) + whole(JANUARY, 1000)
    assert (await importing.stored(), await importing.covered(), importing.months) == (everything, [SPAN], 2)
    assert {(one.rows, one.changed) for one in importing.heard} == {(44_640, 44_640)}

    for archive in (DECEMBER, JANUARY):
        (tmp_path / archive.path).write_bytes(b"not read again")
    assert await importing(tmp_path) == [(DECEMBER.name, State.UNCHANGED), (JANUARY.name, State.UNCHANGED)]
    assert await importing.stored() == everything


async def test_archives_before_a_horizon_are_not_brought(importing: Importing, tmp_path: Path) -> None:
    write_both(tmp_path)
    job = importing.job(tmp_path)
    job.horizons = {importing.market.id: JANUARY.span.start_ms}
    await job.run([importing.market], SPAN)
    assert (importing.told(), importing.months) == ([(JANUARY.name, State.IMPORTED)], 1)
    assert await importing.stored() == whole(JANUARY, 1000)


async def test_a_file_issued_again_is_imported_again(importing: Importing, tmp_path: Path) -> None:
    lines = archives.text(DECEMBER).splitlines(keepends=True)
    archives.write(tmp_path, DECEMBER, b"".join([lines[0].replace(b"100.", b"99."), *lines[1:-60]]))
    await importing(tmp_path, DECEMBER.span)
    cut = Span(DECEMBER.span.start_ms, DECEMBER.span.end_ms - 60 * MINUTE_MS)
    assert await importing.covered() == [cut], "an end that was cut off is not answered for"

    archives.write(tmp_path, DECEMBER, b"".join(lines))
    assert await importing(tmp_path, DECEMBER.span) == [(DECEMBER.name, State.IMPORTED)]
    assert importing.heard[0].changed == 61
    assert (await importing.stored(), await importing.covered()) == (whole(DECEMBER, 1), [DECEMBER.span])


async def test_what_was_erased_is_imported_again(importing: Importing, tmp_path: Path) -> None:
    archives.write(tmp_path, DECEMBER, archives.text(DECEMBER))
    await importing(tmp_path, DECEMBER.span)
    async with importing.database.begin() as connection:
        await connection.execute("DELETE FROM candles")
        await connection.execute("UPDATE coverage SET covered = '{}'")
    assert await importing(tmp_path, DECEMBER.span) == [(DECEMBER.name, State.IMPORTED)]
    assert await importing.stored() == whole(DECEMBER, 1)


async def test_days_stand_in_for_a_month_without_a_file_and_what_is_not_published_is_no_error(
    importing: Importing, tmp_path: Path
) -> None:
    day = Archive("BTCUSDT", Span(ms(2024, 12, 30), ms(2024, 12, 31)))
    archives.write(tmp_path, day, archives.text(day))
    span = Span(ms(2024, 12, 29), ms(2025, 1, 1))
    assert await importing(tmp_path, span) == [
        ("BTCUSDT-1m-2024-12-29.zip", State.MISSING),
        ("BTCUSDT-1m-2024-12-30.zip", State.IMPORTED),
        ("BTCUSDT-1m-2024-12-31.zip", State.MISSING),
    ]
    assert (await importing.stored(), await importing.covered()) == (whole(day, 1), [day.span])
    assert await importing.errors() == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def signed(path: Path) -> None:
    cut(path)
    archives.sign(path)


def unsigned(path: Path) -> None:
    path.with_name(f"{path.name}.CHECKSUM").unlink()


def of_another_month(path: Path) -> None:
    archives.write(path.parents[6], DECEMBER, archives.text(DECEMBER) + archives.line(DECEMBER.span.end_ms))


@pytest.mark.parametrize("spoil", [cut, signed, unsigned, of_another_month])
async def test_a_bad_file_is_refused_with_a_reason_and_leaves_a_gap_until_it_is_good(
    importing: Importing, tmp_path: Path, spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.imports.vision.TRIES", 1)
    write_both(tmp_path)
    spoil(tmp_path / DECEMBER.path)
    assert await importing(tmp_path) == [(DECEMBER.name, State.REFUSED), (JANUARY.name, State.IMPORTED)]
    assert (await importing.stored(), await importing.covered()) == (whole(JANUARY, 1000), [JANUARY.span])
    ((message, repaired),) = await importing.errors()
    assert message.startswith(f"{DECEMBER.name}: archive: ") and not repaired

    archives.write(tmp_path, DECEMBER, archives.text(DECEMBER))
    assert await importing(tmp_path) == [(DECEMBER.name, State.IMPORTED), (JANUARY.name, State.UNCHANGED)]
    assert (await importing.errors(), await importing.covered()) == ([(message, True)], [SPAN])


async def test_rows_off_the_minute_repeated_or_disordered_leave_one_candle_a_minute(
    importing: Importing, tmp_path: Path
) -> None:
    first, second, *others = archives.text(DECEMBER).splitlines(keepends=True)
    off = archives.line(DECEMBER.span.start_ms + 90_001, 5)
    later = archives.line(DECEMBER.span.start_ms, 17)
    archives.write(tmp_path, DECEMBER, b"".join([second, off, first, *others, later]))
    await importing(tmp_path, DECEMBER.span)
    assert await importing.stored() == rows(DECEMBER, b"".join([later, second, *others]))


async def test_live_candles_and_archives_end_the_same_in_either_order(
    importing: Importing, tmp_path: Path
) -> None:
    archives.write(tmp_path, DECEMBER, archives.text(DECEMBER))
    live = [StoredCandle(1, DECEMBER.span.start_ms + i * MINUTE_MS, 1, 2, 0.5, 1, 9e9, 1, 1, 2) for i in range(9)]
    await CandleStore(importing.database).write(live)
    await importing(tmp_path, DECEMBER.span)
    await CandleStore(importing.database).write(live)
    assert await importing.stored() == whole(DECEMBER, 1)


async def test_stopped_anywhere_it_goes_on_and_nothing_is_half_there(importing: Importing, tmp_path: Path) -> None:
    write_both(tmp_path)
    job = importing.job(tmp_path)
    heard = asyncio.Event()
    job.tell = lambda told: heard.set()
    running = asyncio.create_task(job.run([importing.market], SPAN))
    await heard.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    stored = await importing.stored()
    assert stored in ([], whole(DECEMBER, 1), whole(JANUARY, 1000), whole(DECEMBER, 1) + whole(JANUARY, 1000))
    await importing(tmp_path)
    assert await importing.stored() == whole(DECEMBER, 1) + whole(JANUARY, 1000)


async def test_a_plan_tells_the_same_files_and_changes_nothing(importing: Importing, tmp_path: Path) -> None:
    write_both(tmp_path)
    await importing(tmp_path, DECEMBER.span)
    before = await importing.stored()
    archives.write(tmp_path, DECEMBER, archives.text(DECEMBER)[:-1])
    await importing.job(tmp_path).plan([importing.market], SPAN)
    assert importing.told() == [(DECEMBER.name, State.CHANGED), (JANUARY.name, State.NEW)]
    assert {one.bytes for one in importing.heard} == {
        (tmp_path / one.path).stat().st_size for one in (DECEMBER, JANUARY)
    }
    assert await importing.stored() == before


@pytest.fixture
def simulator() -> "AsyncIterator[Simulator]":
    """It is Sunday 2025-02-02 12:00 there: January has no monthly file yet."""
    with running_simulator(clock_at(1.001, ms(2025, 2, 2, 12))) as running:
        yield running


async def test_a_hosts_archives_hold_the_truth_and_are_brought_once(
    importing: Importing, simulator: Simulator
) -> None:
    importing.clock = simulator.clock
    span = Span(ms(2025, 1, 31), ms(2025, 2, 2, 12))
    url = simulator.urls()["BINANCE_ARCHIVE_URL"]
    names = ["BTCUSDT-1m-2025-01-31.zip", "BTCUSDT-1m-2025-02-01.zip"]
    assert await importing(url, span) == [(name, State.IMPORTED) for name in names]
    truth = simulator.truth("binance", "BTC", "USDT", span.start_ms, span.start_ms + 2 * DAY_MS)
    assert [[row.open_ms, *row[2:7]] for row in await importing.stored()] == truth
    assert len(simulator.log(".zip.CHECKSUM")) == 3, "a month not over is not asked for; one not out yet is"

    simulator.clear_log()
    assert await importing(url, span) == [(name, State.UNCHANGED) for name in names]
    assert [one["path"] for one in simulator.log(".zip") if not one["path"].endswith("CHECKSUM")] == []


async def test_a_hosts_bad_archives_are_refused_and_had_when_they_are_good(
    importing: Importing, simulator: Simulator
) -> None:
    importing.clock = simulator.clock
    url, day = simulator.urls()["BINANCE_ARCHIVE_URL"], Span(ms(2025, 2, 1), ms(2025, 2, 2))
    for kind in ("archive_checksum", "archive_truncated"):
        simulator.fault("binance", kind)
        assert [state for _, state in await importing(url, day)] == [State.REFUSED]
        assert (await importing.stored(), await importing.covered()) == ([], [])
        simulator.fault("binance", kind, on=False)
    simulator.fault("binance", "archive_draft")
    assert [state for _, state in await importing(url, day)] == [State.IMPORTED]
    simulator.fault("binance", "archive_draft", on=False)
    simulator.fault("binance", "truncate", count=1)
    assert [state for _, state in await importing(url, day)] == [State.IMPORTED], "brought again once cut short"
    truth = simulator.truth("binance", "BTC", "USDT", *day)
    assert [[row.open_ms, *row[2:7]] for row in await importing.stored()] == truth
    assert [repaired for _, repaired in await importing.errors()] == [True]
