"""The servers that come with Candlehouse: private, durable, and run by somebody who is not root."""

import asyncio
import os
import pwd
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError

from app import embedded
from app.embedded import Servers
from app.embedded_postgres import EmbeddedPostgres
from app.embedded_redis import EmbeddedRedis
from app.ports import free_from
from app.processes import Process
from app.server_user import ServerUser, server_user
from app.settings import load_settings
from app.supervisor import Supervisor
from common.errors import BadInput

LIMIT_S = 30
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that every user can enter; pytest's own folders are private to whoever runs it."""
    with tempfile.TemporaryDirectory(prefix="candlehouse-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def servers_in(folder: Path) -> Servers:
    return embedded.prepare(load_settings({"DATA_DIR": str(folder)}, folder / "none"), folder)


@asynccontextmanager
async def running(servers: Servers, log_dir: Path) -> AsyncIterator[dict[str, Process]]:
    living: dict[str, Process] = {}
    async with Supervisor(lambda found: (living.clear(), living.update(found))[0]) as supervisor:
        for role, until_ready in servers.roles(log_dir):
            supervisor.start(role)
            await asyncio.wait_for(until_ready(), LIMIT_S)
        yield living


async def test_both_keep_their_data_over_a_restart(folder: Path) -> None:
    servers = servers_in(folder)
    assert servers.postgres and servers.redis
    async with running(servers, folder / "logs"):
        connection = await asyncpg.connect(servers.postgres.server.url("postgresql"))
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        await connection.close()
        async with redis.asyncio.Redis.from_url(servers.redis.server.url("redis")) as client:
            await client.set("kept", "43")
    async with running(servers_in(folder), folder / "logs"):
        connection = await asyncpg.connect(servers.postgres.server.url("postgresql"))
        async with redis.asyncio.Redis.from_url(servers.redis.server.url("redis")) as client:
            assert (await connection.fetchval("SELECT answer FROM kept"), await client.get("kept")) == (42, b"43")
        await connection.close()


async def test_both_want_a_password_and_are_seen_by_this_machine_alone(folder: Path) -> None:
    servers = servers_in(folder)
    assert servers.postgres and servers.redis
    async with running(servers, folder / "logs") as living:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(
                servers.postgres.server.url("postgresql").replace(":", ":x", 2).replace("x//", "//")
            )
        client = redis.asyncio.Redis(port=servers.redis.port, retry=Retry(NoBackoff(), 0))
        with pytest.raises(AuthenticationError):
            await client.ping()
        await client.aclose()
        listening = {
            (name, address.laddr.ip)
            for name, process in living.items()
            for address in psutil.Process(process.pid).net_connections()
            if address.status == psutil.CONN_LISTEN
        }
        assert listening == {("postgres", "127.0.0.1"), ("redis", "127.0.0.1")}
        words = [one.server.password_file.read_text().strip() for one in (servers.postgres, servers.redis)]
        others = [one for one in psutil.process_iter(["cmdline"]) if one.pid != os.getpid()]
        told = [" ".join(one.info["cmdline"] or []) for one in others]
        assert [line for line in told for word in words if word in line] == []


async def test_the_role_we_log_in_with_is_no_superuser_but_owns_its_database(folder: Path) -> None:
    servers = servers_in(folder)
    assert servers.postgres
    async with running(servers, folder / "logs"):
        connection = await asyncpg.connect(servers.postgres.server.url("postgresql"))
        found = await connection.fetchrow(
            "SELECT rolsuper, pg_get_userbyid(datdba) AS owner, current_setting('password_encryption') AS kind "
            "FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
        )
        await connection.close()
    assert tuple(found) == (False, "candlehouse", "scram-sha-256")


async def test_redis_keeps_every_write_and_evicts_nothing(folder: Path) -> None:
    servers = servers_in(folder)
    assert servers.redis
    url = servers.redis.server.url
    async with running(servers, folder / "logs"), redis.asyncio.Redis.from_url(url("redis")) as client:
        settings = await client.config_get("appendonly", "maxmemory-policy", "appendfsync")
    assert settings == {"appendonly": "yes", "maxmemory-policy": "noeviction", "appendfsync": "everysec"}


def test_every_secret_is_in_a_file_for_its_owner_alone(folder: Path) -> None:
    servers_in(folder)
    files = [*folder.glob("*.password"), folder / "redis/redis.conf"]
    assert [(file.name, oct(file.stat().st_mode & 0o777)) for file in files if file.stat().st_mode & 0o077] == []
    assert len({file.read_text() for file in files}) == 4


@as_root
async def test_root_runs_them_as_somebody_else_and_changes_no_folder_above(folder: Path) -> None:
    parent = folder / "theirs"
    parent.mkdir(mode=0o711)
    servers = servers_in(parent)
    async with running(servers, parent / "logs") as living:
        users = {psutil.Process(process.pid).username() for process in living.values()}
    assert (users, oct(parent.stat().st_mode & 0o777)) == ({server_user().name}, "0o711")


@as_root
def test_an_ordinary_user_runs_them_as_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = pwd.getpwnam("nobody")
    home = folder / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    monkeypatch.setenv("HOME", str(home))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            status = asyncio.run(_answers(home))
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


async def _answers(home: Path) -> int:
    servers = servers_in(home)
    async with running(servers, home / "logs") as living:
        names = {psutil.Process(process.pid).username() for process in living.values()}
    return 0 if names == {"nobody"} else 2


@as_root
def test_a_folder_that_their_user_cannot_enter_is_named_with_what_works(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(BadInput) as error:
        servers_in(private)
    who = f"PostgreSQL runs as the user {server_user().name} (never as root), who cannot enter {private}"
    remedy = "move the checkout and DATA_DIR to where every user can enter, such as /opt, or do not start as root"
    assert str(error.value) == f"{who}; {remedy}."
    assert (oct(private.stat().st_mode & 0o777), list(private.iterdir())) == ("0o700", [])


def test_a_stale_pid_file_does_not_keep_postgres_from_starting(folder: Path) -> None:
    servers = servers_in(folder)
    assert servers.postgres
    pid_file = servers.postgres.cluster / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n")
    servers_in(folder)
    assert not pid_file.exists()


@pytest.mark.parametrize(("error", "stays"), [(psutil.NoSuchProcess(1), False), (psutil.AccessDenied(1), True)])
def test_a_pid_that_ends_or_hides_while_it_is_looked_at_stops_no_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: psutil.Error, stays: bool
) -> None:
    def ask(pid: int) -> None:
        raise error

    (folder / "cluster").mkdir()
    pid_file = folder / "cluster/postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n")
    monkeypatch.setattr(psutil, "Process", ask)
    EmbeddedPostgres(folder, 1, ServerUser("me"))._forget_stale_pid()
    assert pid_file.exists() == stays


def test_a_chosen_port_that_is_taken_is_named_and_an_unchosen_one_moves_up(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        environ = {"DATA_DIR": str(folder), "POSTGRES_PORT": str(taken)}
        with pytest.raises(BadInput) as error:
            embedded.prepare(load_settings(environ, folder / "none"), folder)
        assert str(error.value) == (
            f"Port {taken} on 127.0.0.1 is taken by another program; set POSTGRES_PORT to a free one."
        )
        assert free_from(taken) > taken


def test_servers_of_yours_are_left_to_you(folder: Path) -> None:
    environ = {"DATA_DIR": str(folder), "DATABASE_URL": "postgresql://a:b@h/d", "REDIS_URL": "redis://h"}
    assert embedded.prepare(load_settings(environ, folder / "none"), folder) == Servers(None, None)


def test_without_a_new_enough_redis_on_the_path_the_wheels_is_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = folder / "redis-server"
    old.write_text("#!/bin/sh\necho Redis server v=5.0.3 sha=0\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    command = EmbeddedRedis(folder / "redis", 1, ServerUser("me")).command()
    assert Path(command[0]) != old
    new = shutil.copy(old, folder / "valkey-server")
    Path(new).write_text("#!/bin/sh\necho Valkey server v=8.1.0 sha=0\n")
    assert EmbeddedRedis(folder / "redis", 1, ServerUser("me")).command()[0] == str(new)
