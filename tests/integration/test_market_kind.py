"""Simulated candles never reach a database of real ones."""

import pytest

from app.stores import market_kind
from app.stores.database import Database
from common.errors import BadInput


async def test_the_first_start_decides_and_the_same_kind_may_come_again(database: Database) -> None:
    for _ in range(2):
        await market_kind.claim(database, "simulated")
    async with database.connection() as connection:
        assert [tuple(row) for row in await connection.fetch("SELECT kind FROM market_kind")] == [("simulated",)]


async def test_the_other_kind_is_refused_and_changes_nothing(database: Database) -> None:
    await market_kind.claim(database, "real")
    with pytest.raises(BadInput) as told:
        await market_kind.claim(database, "simulated")
    assert str(told.value) == (
        "The database holds real candles and MARKET is simulated, which must not mix: "
        "start with a database of its own, or with MARKET=real."
    )
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT kind FROM market_kind") == "real"
