"""The markets that exchanges list, and the ids that candles know them by."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import RowMapping, and_, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.stores.database import Database
from app.stores.tables import symbol_exchange as table
from common.market import Instrument

_REFRESHED = ("symbol", "native_base", "native_quote", "is_trading", "tick_size", "last_seen")


class StoredSymbol(NamedTuple):
    id: int
    instrument: Instrument


class SymbolStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def upsert(self, exchange: str, instruments: Iterable[Instrument], now_ms: int) -> None:
        """Store what `exchange` lists now; what it no longer lists stops trading."""
        rows = [_row(instrument, now_ms) for instrument in instruments]
        new = insert(table)
        merge = new.on_conflict_do_update(
            index_elements=["exchange", "market_type", "base_id", "quote_id"],
            index_where=table.c.delisted_at.is_(None),
            set_={name: new.excluded[name] for name in _REFRESHED},
        )
        absent = and_(
            table.c.exchange == exchange,
            table.c.is_trading,
            or_(table.c.last_seen.is_(None), table.c.last_seen < now_ms),
        )
        async with self._db.core() as connection:
            if rows:
                await connection.execute(merge, rows)
            await connection.execute(update(table).where(absent).values(is_trading=False))
            await connection.execute(text("REFRESH MATERIALIZED VIEW CONCURRENTLY common_basequote_30"))

    async def add(self, instruments: Iterable[Instrument], now_ms: int) -> None:
        """Store markets that no exchange lists; those that are known stay as they are."""
        rows = [{**_row(instrument, now_ms), "last_seen": None} for instrument in instruments]
        if rows:
            async with self._db.core() as connection:
                await connection.execute(insert(table).on_conflict_do_nothing(), rows)

    async def load(self, exchange: str | None = None, trading_only: bool = False) -> dict[str, StoredSymbol]:
        """Every market that is not delisted, by Instrument.key."""
        query = select(table).where(table.c.delisted_at.is_(None)).order_by(table.c.id)
        if exchange is not None:
            query = query.where(table.c.exchange == exchange)
        if trading_only:
            query = query.where(table.c.is_trading)
        async with self._db.core() as connection:
            found = [_stored(row) for row in (await connection.execute(query)).mappings()]
        return {symbol.instrument.key: symbol for symbol in found}

    async def find(self, exchange: str, base: str, quote: str, market_type: str = "spot") -> StoredSymbol | None:
        """By common names, or by the exchange's own codes."""
        common = and_(table.c.base_id == base, table.c.quote_id == quote)
        native = and_(table.c.native_base == base, table.c.native_quote == quote)
        query = (
            select(table)
            .where(table.c.exchange == exchange, table.c.market_type == market_type, or_(common, native))
            .where(table.c.delisted_at.is_(None))
            .order_by(func.coalesce(common, False).desc())
            .limit(1)
        )
        async with self._db.core() as connection:
            row = (await connection.execute(query)).mappings().first()
        return _stored(row) if row else None


def _row(instrument: Instrument, now_ms: int) -> Mapping[str, Any]:
    return {
        "exchange": instrument.exchange,
        "market_type": instrument.market_type,
        "base_id": instrument.base,
        "quote_id": instrument.quote,
        "symbol": instrument.native,
        "native_base": instrument.native_base,
        "native_quote": instrument.native_quote,
        "is_trading": instrument.is_trading,
        "tick_size": instrument.tick_size,
        "first_seen": now_ms,
        "last_seen": now_ms,
    }


def _stored(row: RowMapping) -> StoredSymbol:
    instrument = Instrument(
        exchange=row["exchange"],
        base=row["base_id"],
        quote=row["quote_id"],
        native=row["symbol"],
        native_base=row["native_base"],
        native_quote=row["native_quote"],
        market_type=row["market_type"],
        tick_size=row["tick_size"],
        is_trading=row["is_trading"],
    )
    return StoredSymbol(row["id"], instrument)
