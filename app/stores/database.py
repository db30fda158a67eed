"""The connection pool: SQLAlchemy Core on asyncpg, and bare asyncpg connections of the same pool.

On every connection a timestamptz is an int of UTC milliseconds, in both directions, and the session's zone is UTC.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from sqlalchemy import event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from common.errors import CandlehouseError, Rejected, Retryable

#: PostgreSQL counts microseconds from 2000-01-01.
POSTGRES_EPOCH_MS = 946_684_800_000
SESSION = {"TimeZone": "UTC", "jit": "off", "work_mem": "16MB"}

_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
)
_REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
#: It answers, but cannot do it now: its disk or memory is full, a disk fails, or it may not write, as a standby.
_UNABLE = (
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
)


class Database:
    """One pool. Nothing is connected before the first use."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        url = engine.url
        self._address = f"{url.host}:{url.port or 5432}"

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A bare asyncpg connection."""
        with self._translated():
            async with self.engine.connect() as connection:
                try:
                    yield (await connection.get_raw_connection()).driver_connection
                except asyncio.CancelledError:
                    # Stopped between BEGIN and its answer, it would go back to the pool inside a transaction, and
                    # whatever is "committed" on it later would be rolled back with it.
                    await connection.invalidate()
                    raise

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Any]:
        """A bare asyncpg connection in a transaction, committed unless the block raises."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def core(self) -> AsyncIterator[AsyncConnection]:
        """A SQLAlchemy connection in a transaction."""
        with self._translated():
            async with self.engine.begin() as connection:
                yield connection

    async def close(self) -> None:
        await self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (*_LOST, *_REFUSED, *_UNABLE, PoolTimeoutError, asyncpg.InterfaceError, DBAPIError) as error:
            meaning = self._meaning(error)
            if meaning is None:
                raise
            raise meaning from error

    def _meaning(self, error: BaseException) -> CandlehouseError | None:
        """What a driver's error says in our words; None for one that is a fault of the program."""
        if isinstance(error, DBAPIError) and error.orig is not None:
            error = error.orig.__cause__ or error.orig
        if isinstance(error, PoolTimeoutError):
            return Retryable(f"PostgreSQL at {self._address} is busy: this process has no connection free.")
        if isinstance(error, _REFUSED):
            return Rejected(f"PostgreSQL at {self._address} refuses: {error}")
        # asyncpg says InterfaceError of a connection that it found closed, and of wrong arguments alike.
        if isinstance(error, _LOST) or (isinstance(error, asyncpg.InterfaceError) and "closed" in str(error)):
            return Retryable(
                f"PostgreSQL at {self._address} cannot be reached: {str(error) or type(error).__name__}"
            )
        if isinstance(error, _UNABLE):
            return Retryable(f"PostgreSQL at {self._address} cannot do it now: {error}")
        return None


def open_database(url: str, *, pool_size: int = 5, name: str = "candlehouse") -> Database:
    """`url` is a plain postgresql:// address; pg_stat_activity shows the sessions under `name`."""
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,  # the one used last knows the statements, and has their plans
        connect_args={"server_settings": {**SESSION, "application_name": name}, "timeout": 10},
    )
    event.listen(engine.sync_engine, "connect", _speak_milliseconds)
    event.listen(engine.sync_engine, "checkout", _ask_for_life)
    return Database(engine)


def _speak_milliseconds(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    connection.run_async(set_millisecond_codec)
    entry.info["new"] = True


def _ask_for_life(connection: DBAPIConnection, entry: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
    """One round trip, where SQLAlchemy's own ping takes three: it begins a transaction and rolls it back."""
    if entry.info.pop("new", False):
        return
    try:
        connection.run_async(lambda driver: driver.execute("SELECT"))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise InvalidatePoolError from error  # the pool forgets its connections, and connects anew


async def set_millisecond_codec(connection: Any) -> None:
    """Make a timestamptz an int of UTC milliseconds on this asyncpg connection."""
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        format="tuple",
        encoder=lambda ms: ((ms - POSTGRES_EPOCH_MS) * 1000,),
        decoder=lambda parts: parts[0] // 1000 + POSTGRES_EPOCH_MS,
    )
