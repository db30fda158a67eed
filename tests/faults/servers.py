"""The program's own PostgreSQL and Redis in a folder of a round's own, killed and started again."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from app.embedded_postgres import EmbeddedPostgres
from app.embedded_redis import EmbeddedRedis
from app.server_user import server_user
from tests.fixtures.postgres import die_with_the_session
from tests.fixtures.start import any_port

#: Within which a server that was killed answers again, on a busy machine.
START_LIMIT_S = 60
#: Room for a cluster and what a round writes.
DISK_BYTES = 700_000_000
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass
class KillableServer:
    """One server as `make up` runs it; what it has told a client to be safe outlives `kill`."""

    made: EmbeddedPostgres | EmbeddedRedis
    log: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    async def start(self) -> None:
        """Return when it answers."""
        self.made.prepare()
        self.process = self._started()
        async with asyncio.timeout(START_LIMIT_S):
            await self.made.until_ready()

    def _started(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.made.command(),
                env=_ENVIRONMENT,
                stdout=output,
                stderr=output,
                preexec_fn=die_with_the_session,
                **self.made.user.options(),
            )

    def kill(self) -> None:
        """SIGKILL to it and to all that it started, of which none goes on for a moment longer."""
        assert self.process
        parent = psutil.Process(self.process.pid)
        for one in [parent, *parent.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait(START_LIMIT_S)

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def lose_everything(self) -> None:
        """What a Redis without its files comes back with."""
        for part in self.made.folder.iterdir():
            shutil.rmtree(part) if part.is_dir() else part.unlink()


@dataclass(frozen=True)
class Servers:
    """`disk` is a small one of PostgreSQL's own, where we may have one."""

    postgres: KillableServer
    redis: KillableServer
    disk: Path | None = None

    @property
    def database_url(self) -> str:
        return self.postgres.made.server.url("postgresql")

    @property
    def redis_url(self) -> str:
        return self.redis.made.server.url("redis")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Mounted at `folder`, which is made; None where this user may not mount."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "tmpfs", str(folder)]
    mounted = not os.geteuid() and not subprocess.run(mount, check=False, capture_output=True).returncode
    server_user().own(folder)
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@asynccontextmanager
async def running_servers(folder: Path, disk: Path | None = None) -> AsyncIterator[Servers]:
    user = server_user()
    servers = Servers(
        KillableServer(EmbeddedPostgres(folder / "postgres", any_port(), user), folder / "postgres.log"),
        KillableServer(EmbeddedRedis(folder / "redis", any_port(), user), folder / "redis.log"),
        disk,
    )
    started: list[KillableServer] = []
    try:
        for server in (servers.postgres, servers.redis):
            started.append(server)
            await server.start()
        yield servers
    finally:
        for server in started:
            if server.process and server.process.poll() is None:
                server.kill()
