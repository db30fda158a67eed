"""Failed fetches of history, kept whatever their message holds, and whether they were repaired since."""

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.stores.database import Database
from app.stores.statements import sql
from app.stores.tables import ohlcvs_errors as table
from common.span import Span


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
        async with self._db.core() as connection:
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


async def record_on(connection: AsyncConnection, error: FetchError, now_ms: int) -> None:
    """Store a failure; the same one again counts as another attempt."""
    new = insert(table).values(
        exchange=error.exchange,
        symbol=error.symbol,
        start_date=error.span.start_ms,
        end_date=error.span.end_ms,
        time_frame="1m",
        ohlcv_section=error.section,
        resp_status_code=error.status,
        exception_class=error.exception_class,
        exception_message=error.message,
        symbol_id=error.symbol_id,
        first_at=now_ms,
        last_at=now_ms,
    )
    await connection.execute(
        new.on_conflict_do_update(
            index_elements=["exception_class", "exchange", "symbol", "start_date", "end_date", "time_frame"],
            set_={
                "attempts": table.c.attempts + 1,
                "last_at": new.excluded.last_at,
                "resp_status_code": new.excluded.resp_status_code,
                "exception_message": new.excluded.exception_message,
                "symbol_id": new.excluded.symbol_id,
                "repaired_at": None,
            },
        )
    )
