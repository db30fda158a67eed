"""The markets that exchanges list, what they were called before, and the ids that candles know them by."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import structlog
from sqlalchemy import RowMapping, and_, bindparam, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.stores.database import Database
from app.stores.identity import Identified, Known, identify
from app.stores.market_ids import MarketIds
from app.stores.statements import sql
from app.stores.tables import symbol_exchange as table
from app.stores.tables import symbol_names, symbols_joined
from common.market import Instrument

log = structlog.get_logger(__name__)

#: Held by whoever takes over an exchange's listing.
LISTING_LOCK = 7_310_012
_NAMES = ("base_id", "quote_id", "symbol", "native_base", "native_quote")
_REFRESHED = (*_NAMES, "is_trading", "tick_size", "last_seen")
_COUNTS = "SELECT exchange, count(*) FROM symbol_exchange WHERE is_trading AND delisted_at IS NULL GROUP BY 1"
_DISPUTED = (
    "It is listed under a name that an imported market has, and keeps its own; "
    "where they are one market, candlehouse rename joins them"
)


class StoredSymbol(NamedTuple):
    id: int
    instrument: Instrument


class SymbolStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def upsert(self, exchange: str, instruments: Iterable[Instrument], now_ms: int) -> None:
        """Store what `exchange` lists now; what it no longer lists stops trading.

        A market that has another name by now, ours or the exchange's, stays the same one; see identity.py.
        """
        async with self._db.core() as connection:
            await connection.execute(select(func.pg_advisory_xact_lock(LISTING_LOCK)))
            known = await _known(connection, exchange)
            found = identify(instruments, known)
            await _close(connection, found.closed)
            await _refresh(connection, found, {one.id: one for one in known}, now_ms)
            if found.new:
                await connection.execute(_adding(), [_row(one, now_ms) for one in found.new])
            await connection.execute(_absent(exchange, now_ms))
            await connection.execute(text("REFRESH MATERIALIZED VIEW CONCURRENTLY common_basequote_30"))
        for one in found.disputed:
            log.warning(_DISPUTED, market=one.key, native=one.native)

    async def add(self, instruments: Iterable[Instrument], now_ms: int) -> None:
        """Store markets that no exchange lists; those that are known stay as they are."""
        rows = [{**_row(instrument, now_ms), "last_seen": None} for instrument in instruments]
        if rows:
            async with self._db.core() as connection:
                await connection.execute(insert(table).on_conflict_do_nothing(), rows)

    async def load(self, exchange: str | None = None, trading_only: bool = False) -> dict[str, StoredSymbol]:
        """Every market that is not delisted, by Instrument.key."""
        async with self._db.core() as connection:
            rows = await _rows(connection, exchange, trading_only)
            former = await _former(connection, exchange)
        found = [_stored(row, former.get(row["id"], ())) for row in rows]
        return {symbol.instrument.key: symbol for symbol in found}

    async def ids(self) -> MarketIds:
        """The ids by every name that markets have and had."""
        return MarketIds((await self.load()).values())

    async def version(self) -> int:
        """Another number whenever names or ids have changed."""
        async with self._db.connection() as connection:
            return int(await connection.fetchval("SELECT version FROM symbols_version"))

    async def counts(self) -> dict[str, int]:
        """By exchange, how many markets trade."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(_COUNTS)
        return {row[0]: row[1] for row in rows}

    async def find(self, exchange: str, base: str, quote: str, market_type: str = "spot") -> StoredSymbol | None:
        """By common names, by the exchange's own codes, or by what they were before."""
        named = func.symbol_by_name(exchange, base, quote, market_type)
        async with self._db.core() as connection:
            row = (await connection.execute(select(table).where(table.c.id == named))).mappings().first()
        return _stored(row) if row else None

    async def find_named(self, exchange: str, name: str) -> StoredSymbol | None:
        """By the exchange's own name, or base and quote in one word, with a slash or without; now or before."""
        async with self._db.connection() as connection:
            found = await connection.fetchval(sql("symbol_by_word"), exchange, name)
        return None if found is None else (await self.now([found])).get(found)

    async def now(self, symbol_ids: Iterable[int]) -> dict[int, StoredSymbol]:
        """What these markets are called now, by the id that they had; those that were joined have another."""
        joined = select(symbols_joined.c.gone, symbols_joined.c.into_id).where(
            symbols_joined.c.gone.in_(wanted := list(symbol_ids))
        )
        async with self._db.core() as connection:
            into = dict(map(tuple, await connection.execute(joined)))
            ids = [into.get(one, one) for one in wanted]
            rows = (await connection.execute(select(table).where(table.c.id.in_(ids)))).mappings()
            by_id = {row["id"]: _stored(row) for row in rows}
        return {one: by_id[now] for one, now in zip(wanted, ids, strict=True) if now in by_id}


async def _rows(connection: AsyncConnection, exchange: str | None, trading_only: bool) -> Sequence[RowMapping]:
    query = select(table).where(table.c.delisted_at.is_(None)).order_by(table.c.id)
    if exchange is not None:
        query = query.where(table.c.exchange == exchange)
    if trading_only:
        query = query.where(table.c.is_trading)
    return (await connection.execute(query)).mappings().all()


async def _former(connection: AsyncConnection, exchange: str | None) -> dict[int, tuple[Instrument, ...]]:
    """What markets were called before, by id, newest first."""
    columns = symbol_names.c
    query = select(symbol_names).order_by(columns.serves_before.desc().nulls_first(), columns.id.desc())
    if exchange is not None:
        query = query.where(symbol_names.c.exchange == exchange)
    found: dict[int, tuple[Instrument, ...]] = defaultdict(tuple)
    for row in (await connection.execute(query)).mappings():
        found[row["symbol_id"]] += (replace(_instrument(row), serves_before_ms=row["serves_before"]),)
    return found


async def _known(connection: AsyncConnection, exchange: str) -> list[Known]:
    former = await _former(connection, exchange)
    rows = await _rows(connection, exchange, trading_only=False)
    return [Known(*_stored(row, former.get(row["id"], ())), row["last_seen"]) for row in rows]


async def _close(connection: AsyncConnection, symbol_ids: Sequence[int]) -> None:
    """For good: others bear their names."""
    closing = update(table).where(table.c.id.in_(symbol_ids))
    if symbol_ids:
        await connection.execute(closing.values(is_trading=False, delisted_at=table.c.last_seen))


async def _refresh(
    connection: AsyncConnection, found: Identified, known: Mapping[int, Known], now_ms: int
) -> None:
    """Keep former names, and store present ones; two markets may have changed theirs with one another."""
    renamed = [known[one] for one, now in found.same.items() if not _same_names(known[one].instrument, now)]
    if renamed:
        moved = update(table).where(table.c.id.in_([one.id for one in renamed]))
        await connection.execute(moved.values(base_id=func.concat("renamed ", table.c.id)))
        for one in renamed:
            log.warning("Market renamed", market=one.instrument.key, now=found.same[one.id].key)
    if former := [former_row(one.id, one.instrument, now_ms) for one in renamed if one.listed_ms is not None]:
        await connection.execute(insert(symbol_names), former)
    rows = [{**_row(now, now_ms), "known_id": one} for one, now in found.same.items()]
    setting = update(table).where(table.c.id == bindparam("known_id"))
    if rows:
        chosen = [{name: row[name] for name in (*_REFRESHED, "known_id")} for row in rows]
        await connection.execute(setting.values({name: bindparam(name) for name in _REFRESHED}), chosen)


def _same_names(before: Instrument, now: Instrument) -> bool:
    codes = (before.native_base, before.native_quote) == (now.native_base, now.native_quote)
    return codes and (before.key, before.native) == (now.key, now.native)


def _adding() -> Any:
    """Somebody may have imported candles of a market at this moment."""
    new = insert(table)
    return new.on_conflict_do_update(
        index_elements=["exchange", "market_type", "base_id", "quote_id"],
        index_where=table.c.delisted_at.is_(None),
        set_={name: new.excluded[name] for name in _REFRESHED},
    )


def _absent(exchange: str, now_ms: int) -> Any:
    unseen = or_(table.c.last_seen.is_(None), table.c.last_seen < now_ms)
    return (
        update(table)
        .where(and_(table.c.exchange == exchange, table.c.is_trading, unseen))
        .values(is_trading=False)
    )


def former_row(symbol_id: int, before: Instrument, now_ms: int) -> dict[str, Any]:
    """A row of symbol_names."""
    names = {name: value for name, value in _row(before, now_ms).items() if name in _NAMES}
    where = {"exchange": before.exchange, "market_type": before.market_type}
    return {"symbol_id": symbol_id, **where, **names, "renamed_at": now_ms, "serves_before": None}


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


def _instrument(row: RowMapping) -> Instrument:
    return Instrument(
        exchange=row["exchange"],
        base=row["base_id"],
        quote=row["quote_id"],
        native=row["symbol"],
        native_base=row["native_base"],
        native_quote=row["native_quote"],
        market_type=row["market_type"],
    )


def _stored(row: RowMapping, former: tuple[Instrument, ...] = ()) -> StoredSymbol:
    facts = {"tick_size": row["tick_size"], "is_trading": row["is_trading"], "former": former}
    return StoredSymbol(row["id"], replace(_instrument(row), **facts))
