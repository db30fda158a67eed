"""A backup of a database in any storage tier comes back whole, into any tier, or not at all."""

import asyncio
import io
import itertools
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app import tiers
from app.backup.packed import copy
from app.migrate import create_sql, raise_tier, revisions, schema_sql
from app.stores.candles import CandleStore
from app.stores.database import Database, open_database
from app.stores.rollups import RollupStore
from app.stores.statements import sql
from app.tiers import Tier
from common.span import MINUTE_MS
from tests.fixtures.bars import FAR_MS, candle, check, list_symbols, minutes, views
from tests.fixtures.commands import Candlehouse, backup_commands
from tests.fixtures.copies import START_MS, contents, fill
from tests.fixtures.postgres import Server, execute, fetch, run_apart

#: TimescaleDB in WebAssembly is slow on a busy machine.
pytestmark = pytest.mark.timeout(900)
HELD = "2,661 candles until 2024-01-01T06:09:00 UTC"
#: A database of a tier's server: not migrated, or of that tier and without rows, or filled.
Databases = Callable[[Tier], str]
_numbers = itertools.count()


@pytest.fixture
def candlehouse(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Candlehouse]:
    yield from backup_commands(monkeypatch, capsys, tmp_path)


@pytest.fixture
def empty(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """Databases without anything, on a server that has a tier."""
    made: list[tuple[str, str]] = []

    def make(tier: Tier) -> str:
        name = f"tier_copy_{next(_numbers)}"
        if tier is Tier.PLAIN:
            server: Server = request.getfixturevalue("postgres_server")
            admin, url = server.url("postgres"), server.url(name)
        else:
            address = request.getfixturevalue("apache_server")
            admin, url = f"{address}/postgres", f"{address}/{name}"
        execute(admin, f"CREATE DATABASE {name} TEMPLATE template0")
        made.append((admin, name))
        if tier is Tier.APACHE:
            execute(url, "CREATE EXTENSION timescaledb")
        return url

    yield make
    for admin, name in made:
        execute(admin, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def filled(empty: Databases) -> Databases:
    def make(tier: Tier) -> str:
        url = empty(tier)
        execute(url, create_sql())
        raise_tier(url, tier)
        fill(url)
        return url

    return make


def held(url: str) -> dict[str, list[str]]:
    """Every row of every table and view, wherever it is kept."""
    return {name: rows for name, rows in contents(url).items() if name != "storage"}


async def tier_of(url: str) -> Tier:
    database = open_database(url)
    try:
        async with database.connection() as connection:
            return await tiers.current(connection)
    finally:
        await database.close()


@pytest.mark.parametrize("target", [Tier.PLAIN, Tier.APACHE])
@pytest.mark.parametrize("source", [Tier.PLAIN, Tier.APACHE])
def test_a_backup_of_each_tier_comes_back_in_each(
    filled: Databases, empty: Databases, tmp_path: Path, candlehouse: Candlehouse, source: Tier, target: Tier
) -> None:
    ours, theirs, file = filled(source), empty(target), tmp_path / "a.dump"
    made = candlehouse("backup", file, url=ours)
    assert (made[0], made[1].split(", ", 1)[1], made[2]) == (
        0,
        f"{HELD}. Restore it with: candlehouse restore {file}\n",
        "",
    )
    assert candlehouse("restore", file, url=theirs) == (0, f"Restored {file}: {HELD}.\n", "")
    assert held(theirs) == held(ours)
    assert run_apart(tier_of(theirs)) == target
    # Again, into what is there now, and back into where it came from.
    for url, tier in ((theirs, target), (ours, source)):
        assert candlehouse("restore", file, "--replace", "--yes", url=url)[0] == 0
        assert (held(url) == held(ours), run_apart(tier_of(url))) == (True, tier)


def test_a_database_that_is_plain_stays_so_on_a_server_that_has_more(
    filled: Databases, empty: Databases, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    ours, theirs = filled(Tier.APACHE), empty(Tier.APACHE)
    execute(theirs, create_sql())
    candlehouse("backup", tmp_path / "a.dump", url=ours)
    assert candlehouse("restore", tmp_path / "a.dump", url=theirs)[0] == 0
    assert (held(theirs) == held(ours), run_apart(tier_of(theirs))) == (True, Tier.PLAIN)


def test_numbers_keys_and_triggers_work_after_a_restore_of_hypertables(
    filled: Databases, empty: Databases, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    ours, theirs = filled(Tier.APACHE), empty(Tier.PLAIN)
    candlehouse("backup", tmp_path / "a.dump", url=ours)
    candlehouse("restore", tmp_path / "a.dump", url=theirs)
    keys = (
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'f' AND connamespace = 'public'::regnamespace"
    )
    names = "(exchange, base_id, quote_id, symbol)"
    new = f"INSERT INTO symbol_exchange {names} VALUES ('x', 'A', 'B', 'AB') RETURNING id"
    for url in (ours, theirs):
        assert sorted(fetch(url, keys)) == [
            ("fetch_job_symbols", "FOREIGN KEY (job_id) REFERENCES fetch_jobs(id) ON DELETE CASCADE"),
            ("fetch_leases", "FOREIGN KEY (job_id) REFERENCES fetch_jobs(id) ON DELETE CASCADE"),
            ("symbol_exchange", "FOREIGN KEY (successor_of) REFERENCES symbol_exchange(id)"),
            ("symbol_names", "FOREIGN KEY (symbol_id) REFERENCES symbol_exchange(id) ON DELETE CASCADE"),
            ("symbols_joined", "FOREIGN KEY (into_id) REFERENCES symbol_exchange(id) ON DELETE CASCADE"),
        ]
        assert fetch(url, new) == [(5,)]
    before = bars(ours)
    for url in (ours, theirs):
        execute(url, f"DELETE FROM candles WHERE time < to_timestamp({(START_MS + 90 * MINUTE_MS) / 1000})")
    assert bars(theirs) == bars(ours) != before


def bars(url: str) -> dict[str, list[str]]:
    return {name: rows for name, rows in contents(url).items() if name.startswith("ohlcvs_summary_")}


def test_what_people_made_in_public_comes_back_beside_hypertables(
    filled: Databases, empty: Databases, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    ours, theirs = filled(Tier.APACHE), empty(Tier.APACHE)
    execute(
        ours,
        "CREATE TABLE mine (id int PRIMARY KEY, said text)",
        "INSERT INTO mine SELECT n, 'of ' || n FROM generate_series(1, 9) AS n",
        "CREATE INDEX mine_said_idx ON mine (said)",
        "CREATE VIEW my_closes AS SELECT time, close FROM ohlcvs WHERE base_id = 'BTC'",
        "COMMENT ON VIEW my_closes IS 'For me.'",
        "CREATE FUNCTION my_sum(a int, b int) RETURNS int LANGUAGE sql RETURN a + b",
    )
    candlehouse("backup", tmp_path / "a.dump", url=ours)
    assert candlehouse("restore", tmp_path / "a.dump", url=theirs)[0] == 0
    assert held(theirs) == held(ours)
    made = "SELECT to_regclass('mine_said_idx')::text, obj_description('my_closes'::regclass), my_sum(2, 3)"
    assert fetch(theirs, made) == [("mine_said_idx", "For me.", 5)]


def test_hypertables_of_somebody_else_are_named_and_leave_no_file(
    filled: Databases, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    ours = filled(Tier.APACHE)
    execute(
        ours,
        "CREATE TABLE mine (at timestamptz NOT NULL)",
        "SELECT create_hypertable('mine', by_range('at'))",
    )
    told = candlehouse("backup", tmp_path / "a.dump", url=ours)
    sentence = "Schema public has hypertables that are not Candlehouse's (mine), and no backup was written"
    assert told == (1, "", f"{sentence}: move them to another schema.\n")
    assert [file for file in tmp_path.iterdir() if file.name != "data"] == []


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-10],
        lambda data: scratched(data, b"candles.copy"),
        lambda data: scratched(data, b"stored_5min.copy"),
        lambda data: scratched(data, b"rest.dump"),
    ],
)
def test_a_damaged_backup_of_hypertables_changes_nothing(
    filled: Databases, tmp_path: Path, candlehouse: Candlehouse, change: Callable[[bytes], bytes]
) -> None:
    url, file = filled(Tier.APACHE), tmp_path / "a.dump"
    candlehouse("backup", file, url=url)
    before = contents(url)
    file.write_bytes(change(file.read_bytes()))
    status, said, complaint = candlehouse("restore", file, "--replace", "--yes", url=url)
    assert (status, said, complaint.startswith(f"{file} is "), "cut off" in complaint) == (2, "", True, True)
    assert complaint.count("\n") == 1
    assert contents(url) == before


def scratched(data: bytes, name: bytes) -> bytes:
    """Wrong bytes inside a member."""
    at = data.index(name) + 1000
    return data[:at] + b"????????" + data[at + 8 :]


def test_a_zip_of_something_else_is_refused(empty: Databases, tmp_path: Path, candlehouse: Candlehouse) -> None:
    file = tmp_path / "a.dump"
    with zipfile.ZipFile(file, "w") as pack:
        pack.writestr("letter.txt", "Dear")
    told = candlehouse("restore", file, url=empty(Tier.PLAIN))
    assert told == (2, "", f"{file} is not a backup: `candlehouse backup` writes other files.\n")


def test_a_backup_of_hypertables_of_an_older_schema_is_brought_to_the_newest(
    filled: Databases, empty: Databases, tmp_path: Path, candlehouse: Candlehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes back as plain, by the revisions up to its own, and is raised behind the others."""
    ours, theirs, file = filled(Tier.APACHE), empty(Tier.APACHE), tmp_path / "a.dump"
    candlehouse("backup", file, url=ours)
    newer = "9999"
    monkeypatch.setattr("app.migrate.revisions", lambda: [*revisions(), newer])
    brought = f", its schema {revisions()[-1]} brought to {newer}"
    assert candlehouse("restore", file, url=theirs) == (0, f"Restored {file}: {HELD}{brought}.\n", "")
    assert (held(theirs) == held(ours), run_apart(tier_of(theirs))) == (True, Tier.APACHE)


@pytest.mark.parametrize("tier", [Tier.TIMESCALE])
async def test_what_a_backup_takes_of_continuous_aggregates_brings_them_back(
    tier_database: Database, tier_url: str
) -> None:
    """As far as a server goes that takes no COPY: its rows come back by statement, the rest as in a restore."""
    await list_symbols(tier_database)
    await CandleStore(tier_database).write([candle(n, n / 7, 1 + n % 2, 0.1, n % 5 > 0) for n in range(3000)])
    await RollupStore(tier_database).refresh()
    assert await RollupStore(tier_database).pack(FAR_MS) > 0
    async with tier_database.connection() as connection:
        before = await minutes(connection), await views(connection)
        taken = {
            row["name"]: await told(connection, row["query"]) for row in await connection.fetch(sql("backup_rows"))
        }
        await connection.execute(f"SET candlehouse.replace = 'yes'; {sql('restore_begin')}")
        assert await connection.fetch(sql("backup_objects")) == []
        for step in (schema_sql(revisions()[-1]), tiers.hypertable_sql(), sql("restore_tables")):
            await connection.execute(step)
        for table, rows in taken.items():
            for row in rows:
                await connection.execute(f"INSERT INTO {table} VALUES ({row})")
        await connection.execute(f"{sql('restore_keys')}; COMMIT")
    await list_symbols(tier_database)
    await asyncio.to_thread(raise_tier, tier_url, Tier.TIMESCALE)
    for _ in ("from the ledger", "refreshed"):
        await check(tier_database)
        async with tier_database.connection() as connection:
            assert (await minutes(connection), await views(connection)) == before
        assert await RollupStore(tier_database).refresh() >= 0
    assert await RollupStore(tier_database).dirty_count() == 0


async def told(connection: Any, query: str) -> list[str]:
    """The rows that COPY tells, as SQL's values."""
    into = io.BytesIO()
    await copy(connection, query, into)
    rows = [line.split("\t") for line in into.getvalue().decode().splitlines()[1:]]
    return [", ".join("NULL" if value == r"\N" else f"'{value}'" for value in row) for row in rows]
