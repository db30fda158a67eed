"""A predecessor's database: table `ohlcvs` by exchange, base and quote, read as a stream, checked row by row."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import asyncpg

from app.imports.checks import fault_of
from app.stores.candles import StoredCandle
from app.stores.database import set_millisecond_codec
from common.errors import BadInput, Rejected, Retryable
from common.market import Source
from common.span import Span

#: Rows in one answer of the cursor, and in one transaction of ours.
BATCH = 50_000
_NEEDED = {"time", "exchange", "base_id", "quote_id", "open", "high", "low", "close", "volume"}
_FORM = "postgresql://user@host:5432/database"

_COLUMNS = (
    "SELECT column_name FROM information_schema.columns "
    "WHERE table_name = $1 AND table_schema = any(current_schemas(false))"
)
_LISTED = "SELECT exchange, base_id, quote_id, symbol FROM symbol_exchange ORDER BY 1, 2, 3"
_UNLISTED = "SELECT DISTINCT exchange, base_id, quote_id, '' FROM ohlcvs ORDER BY 1, 2, 3"
_OF_MARKET = "FROM ohlcvs WHERE exchange = $1 AND base_id = $2 AND quote_id = $3 AND time >= $4 AND time < $5"
_BOUNDS = f"SELECT min(time), max(time) {_OF_MARKET}"
_ROWS = (
    "SELECT time, open::float8, high::float8, low::float8, close::float8, volume::float8 "
    f"{_OF_MARKET} ORDER BY time"
)


class Named(NamedTuple):
    """A market as the predecessor calls it; `native` is empty where it does not say."""

    exchange: str
    base: str
    quote: str
    native: str


class Piece(NamedTuple):
    """Some rows of a market; `faults` are (time in ms, why) of those left out."""

    rows: list[StoredCandle]
    faults: list[tuple[int, str]]


class Predecessor:
    """Reads everything as it was when it was opened."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def markets(self) -> list[Named]:
        """Those it lists; those it has rows of, where it lists none."""
        listed = {row[0] for row in await self._connection.fetch(_COLUMNS, "symbol_exchange")}
        query = _LISTED if {"exchange", "base_id", "quote_id", "symbol"} <= listed else _UNLISTED
        return [Named(*row) for row in await self._connection.fetch(query)]

    async def bounds(self, market: Named, span: Span) -> Span | None:
        """The first and the last minute that it has of `span`; None when it has none."""
        first_ms, last_ms = await self._connection.fetchrow(_BOUNDS, *market[:3], *span)
        return None if first_ms is None else Span(first_ms, last_ms + 60_000)

    async def pieces(self, market: Named, span: Span, symbol_id: int, now_ms: int) -> AsyncIterator[Piece]:
        """Its candles of `span`, oldest first, a batch at a time."""
        cursor = await self._connection.cursor(_ROWS, *market[:3], *span)
        last_ms, source = -1, Source.CLOSED_BY_TIME.value
        while found := await cursor.fetch(BATCH):
            piece = Piece([], [])
            for open_ms, open_, high, low, close, volume in found:
                fault = fault_of(now_ms, open_ms, open_, high, low, close, volume)
                if fault is None and open_ms == last_ms:
                    fault = "it is there twice"
                if fault is not None:
                    piece.faults.append((open_ms, fault))
                    continue
                last_ms = open_ms
                values = open_ms, open_, high, low, close, volume
                piece.rows.append(StoredCandle(symbol_id, *values, None, None, source))
            yield piece


@asynccontextmanager
async def open_predecessor(address: str, password_file: Path | None) -> AsyncIterator[Predecessor]:
    """Raises BadInput for an address with a password, and for a database without the table.

    The password comes from `password_file`, else from PGPASSWORD or ~/.pgpass, as for psql.
    """
    password = None if password_file is None else _password(password_file)
    _check(address)
    with _translated(address):
        connection = await asyncpg.connect(
            address, password=password, timeout=10, server_settings={"application_name": "candlehouse import"}
        )
        try:
            await set_millisecond_codec(connection)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await _must_have_candles(connection)
                yield Predecessor(connection)
        finally:
            await connection.close(timeout=5)


def _check(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname:
        raise BadInput("DSN", f"Write the database as {_FORM}.", _FORM)
    if parts.password is not None or "password=" in parts.query:
        sentence = (
            "Leave the password out of the address, for every user of this machine can read a command line;"
            " it is taken from PGPASSWORD, from ~/.pgpass, or from the file that --password-file names."
        )
        raise BadInput("DSN", sentence, _FORM)


def _password(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        raise BadInput("password-file", f"--password-file {file} cannot be read: {error.strerror}.") from error


async def _must_have_candles(connection: Any) -> None:
    columns = {row[0] for row in await connection.fetch(_COLUMNS, "ohlcvs")}
    if missing := sorted(_NEEDED - columns):
        raise BadInput("DSN", f"The table ohlcvs of that database has no column {', '.join(missing)}.")


@contextmanager
def _translated(address: str) -> Iterator[None]:
    """asyncpg's errors of that server in our words; none of them tells a password."""
    where = urlsplit(address).hostname
    try:
        yield
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise Rejected(f"The database at {where} refuses: {error}") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise Rejected(f"The database at {where} refuses: {error}") from error
    except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError) as error:
        raise Retryable(f"The database at {where} cannot be reached: {error or type(error).__name__}") from error
