"""Failed fetches of history, kept whatever their message holds, and whether they were repaired since."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import func, select

from app.stores.database import Database
from app.stores.statements import sql
from app.stores.tables import ohlcvs_errors as table
from common.span import Span, union


class FetchError(NamedTuple):
    """One failed fetch. `symbol` is the exchange's own name of the market."""

    exchange: str
    symbol: str
    span: Span
    exception_class: str
    message: str
    status: int | None = None
    section: str | None = None
    symbol_id: int | None = None


class ErrorStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def record(self, error: FetchError, now_ms: int) -> None:
        async with self._db.begin() as connection:
            await record_on(connection, error, now_ms)

    async def mark_repaired(self, symbol_id: int, now_ms: int) -> int:
        """Close every error of the symbol whose minutes are all covered by now; how many."""
        async with self._db.begin() as connection:
            return len(await connection.fetch(sql("errors_repaired"), symbol_id, None, None, now_ms))

    async def open_count(self, exchange: str | None = None) -> int:
        """How many failures nobody has repaired."""
        query = select(func.count()).select_from(table).where(table.c.repaired_at.is_(None))
        if exchange is not None:
            query = query.where(table.c.exchange == exchange)
        async with self._db.core() as connection:
            return (await connection.execute(query)).scalar_one()


async def record_on(connection: Any, error: FetchError, now_ms: int) -> None:
    """Store a failure on an asyncpg connection; the same one again counts as another attempt."""
    await connection.execute(
        sql("errors_record"),
        error.exchange,
        error.symbol,
        *error.span,
        error.exception_class,
        error.message.replace("\0", ""),
        error.status,
        error.section,
        error.symbol_id,
        now_ms,
    )


async def repaired_on(connection: Any, covered: Iterable[tuple[int, Span]], now_ms: int) -> None:
    """Close the errors whose minutes are all covered once these spans of symbols are."""
    spans: dict[int, list[Span]] = {}
    for symbol_id, span in covered:
        spans.setdefault(symbol_id, []).append(span)
    for row in await connection.fetch(sql("errors_open"), list(spans)):
        for span in union(spans[row["symbol_id"]]):
            await connection.execute(sql("errors_repaired"), row["symbol_id"], *span, now_ms)
