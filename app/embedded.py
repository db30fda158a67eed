"""The servers that come with Candlehouse: which of them are needed, on which ports, as which roles."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from app import embedded_postgres, embedded_redis
from app.embedded_postgres import EmbeddedPostgres
from app.embedded_redis import EmbeddedRedis
from app.ports import free_from, must_be_free
from app.server_user import ServerUser, server_user
from app.settings import Settings
from app.supervisor import Role

POSTGRES, REDIS = "postgres", "redis"

#: All that a server needs to know of the environment; our secrets are not for it.
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Servers:
    """None for each that the settings name elsewhere."""

    postgres: EmbeddedPostgres | None
    redis: EmbeddedRedis | None

    def roles(self, log_dir: Path) -> list[tuple[Role, Callable[[], Awaitable[None]]]]:
        """Each server's role with what waits for it to answer."""
        found: list[tuple[Role, Callable[[], Awaitable[None]]]] = []
        if self.postgres:
            role = _role(POSTGRES, self.postgres, log_dir / "postgres/postgres.log", embedded_postgres.STOP_SIGNAL)
            found.append((role, self.postgres.until_ready))
        if self.redis:
            role = _role(REDIS, self.redis, log_dir / "redis/redis.log", embedded_redis.STOP_SIGNAL)
            found.append((role, self.redis.until_ready))
        return found


def prepare(settings: Settings, folder: Path) -> Servers:
    """The servers to run in `folder`, with their files made; may take seconds the first time.

    A port that a person chose must be free; the others move up when taken, and are looked for last, for
    another instance may be starting too.
    """
    user, postgres, redis = server_user(), None, None
    for variable, port in (("POSTGRES_PORT", settings.postgres_port), ("REDIS_PORT", settings.redis_port)):
        if port is not None and not _external(settings, variable):
            must_be_free(variable, port)
    if not settings.external_database:
        postgres = prepare_postgres(settings, folder, user)
    if not settings.external_redis:
        redis = EmbeddedRedis(folder / "redis", settings.redis_port or free_from(6379), user)
        redis.prepare()
    return Servers(postgres, redis)


def prepare_postgres(settings: Settings, folder: Path, user: ServerUser) -> EmbeddedPostgres:
    """PostgreSQL's part of `prepare`."""
    postgres = EmbeddedPostgres(folder / "postgres", settings.postgres_port or 0, user)
    postgres.prepare()
    return replace(postgres, port=settings.postgres_port or free_from(5432))


def _external(settings: Settings, variable: str) -> bool:
    return settings.external_database if variable == "POSTGRES_PORT" else settings.external_redis


def _role(name: str, server: EmbeddedPostgres | EmbeddedRedis, log: Path, stop_signal: int) -> Role:
    return Role(name, server.command(), log, _ENVIRONMENT, stop_signal, options=server.user.options())
