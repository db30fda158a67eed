"""Bring stored bars and analytics to now; run by schedule and after each fetch."""

from app.stores import analytics
from app.stores.database import Database
from app.stores.rollups import RollupStore
from common.clock import Clock


async def refresh(db: Database, clock: Clock) -> int:
    """Drain the ledger, then recompute the analytics from what is stored; how many ledger rows were drained."""
    drained = await RollupStore(db).refresh()
    await analytics.refresh(db, clock.now_ms())
    return drained
