"""The analytics views: refreshed with the program's time, read for the web."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, select, update

from app.stores import tables, views
from app.stores.database import Database
from app.stores.statements import sql

Row = Mapping[str, Any]


async def refresh(db: Database, now_ms: int) -> None:
    """Bring every analytics view to `now_ms`; readers see the old or the new one, never none."""
    async with db.core() as connection:
        await connection.execute(update(tables.clock_now).values(now=now_ms))
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        await raw.execute(sql("analytics_refresh"))


async def geodr(db: Database, upper: float | None, lower: float | None, limit: int | None) -> Sequence[Row]:
    """Geometric daily returns strictly between `lower` and `upper` percent, the greatest first."""
    view = views.geo_daily_return
    return await _read(db, _between(select(view), view.c.daily_return_pct, upper, lower, limit))


async def wr(db: Database, upper: float | None, lower: float | None, limit: int | None) -> Sequence[Row]:
    """Weekly returns between `lower` and `upper` percent, the greatest first; `time` in UTC milliseconds."""
    view = views.weekly_return
    return await _read(db, _between(select(view), view.c.weekly_return_pct, upper, lower, limit))


async def top20qvlm(db: Database) -> Sequence[Row]:
    view = views.top_20_quoted_vol
    return await _read(db, select(view).order_by(view.c.total_volume.desc(), view.c.bqgrp))


async def test_row(db: Database) -> Row | None:
    """The row of table `test` with the lowest id."""
    rows = await _read(db, select(tables.test).order_by(tables.test.c.id).limit(1))
    return rows[0] if rows else None


def _between(
    query: Select[Any], column: ColumnElement[Any], upper: float | None, lower: float | None, limit: int | None
) -> Select[Any]:
    # None and nothing else means "not given": a bound of 0 is a bound.
    if upper is not None:
        query = query.where(column < upper)
    if lower is not None:
        query = query.where(column > lower)
    return query.order_by(column.desc(), *(query.selected_columns[name] for name in views.MARKET)).limit(limit)


async def _read(db: Database, query: Select[Any]) -> Sequence[Row]:
    async with db.core() as connection:
        rows: Sequence[Row] = (await connection.execute(query)).mappings().all()
    return rows
