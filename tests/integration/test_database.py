"""The pool: lazy, in milliseconds, whole again after the server was away."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from app import wiring
from app.settings import load_settings
from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database, open_database
from app.stores.symbols import SymbolStore
from common.errors import Rejected, Retryable
from common.market import Instrument
from tests.fixtures.postgres import free_port


async def test_an_unreachable_server_is_retryable_and_named() -> None:
    port = free_port()
    database = open_database(f"postgresql://x:y@127.0.0.1:{port}/z")
    with pytest.raises(Retryable, match=f"PostgreSQL at 127.0.0.1:{port} cannot be reached"):
        await SymbolStore(database).load()
    await database.close()


async def test_a_wrong_password_is_refused_for_good(postgres_url: str) -> None:
    user, _, rest = postgres_url.partition("@")
    database = open_database(f"{user}x@{rest}")
    with pytest.raises(Rejected, match="password authentication failed"):
        await SymbolStore(database).load()
    await database.close()


async def test_the_server_shows_each_session_under_its_role(postgres_url: str, tmp_path: Path) -> None:
    settings = load_settings({"DATABASE_URL": postgres_url, "DATA_DIR": str(tmp_path)}, tmp_path / "none")
    for role, shown in (("update", "candlehouse update"), ("", "candlehouse")):
        async with wiring.open_stores(settings, role=role) as stores, stores.db.connection() as connection:
            assert await connection.fetchval("SHOW application_name") == shown


async def test_a_lost_connection_is_retryable_and_the_next_try_succeeds(database: Database) -> None:
    """A batch that was not committed is not stored; asked again, it is."""
    store = CandleStore(database)
    row = StoredCandle(1, 1_700_000_040_000, 1, 2, 0.5, 1.5, 10, None, None, 3)
    with pytest.raises(Retryable):
        async with database.begin() as connection:
            os.kill(await connection.fetchval("SELECT pg_backend_pid()"), signal.SIGTERM)
            while True:
                await connection.execute("SELECT pg_sleep(0.01)")
    assert (await store.write([row])).changed == 1


async def test_who_waits_too_long_for_a_connection_may_ask_again(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(postgres_url, pool_size=1)
    monkeypatch.setattr(database.engine.pool, "_timeout", 0.05)
    async with database.connection():
        with pytest.raises(Retryable, match="has no connection free"):
            async with database.begin():
                pass
        with pytest.raises(Retryable, match="has no connection free"):
            await SymbolStore(database).load()
    assert await SymbolStore(database).load() == {}
    await database.close()


async def test_idle_connections_that_died_are_replaced(database: Database) -> None:
    async with database.connection() as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
    os.kill(pid, signal.SIGTERM)
    async with asyncio.timeout(10):
        assert await SymbolStore(database).load() == {}


async def test_who_is_stopped_in_a_transaction_takes_no_later_commit_with_it(postgres_url: str) -> None:
    """Stopped at each step of BEGIN, INSERT and COMMIT in turn; what others commit afterwards is there to stay."""

    async def write(row: int) -> None:
        async with stopped.begin() as connection:
            await connection.execute("INSERT INTO test (id, b, q) VALUES ($1, 'a', 'b')", row)

    stopped = open_database(postgres_url, pool_size=1)
    await write(-1)
    for steps in range(60):
        victim = asyncio.create_task(write(1000 + steps))
        for _ in range(steps):
            await asyncio.sleep(0)
        victim.cancel()
        await asyncio.wait([victim])
        await write(steps)
    await stopped.close()
    other = open_database(postgres_url)
    async with other.connection() as connection:
        rows = await connection.fetch("SELECT id::int FROM test WHERE id BETWEEN 0 AND 999 ORDER BY id")
    await other.close()
    assert [row["id"] for row in rows] == list(range(60))


async def test_symbols_are_found_by_common_names_and_by_the_exchanges_own(database: Database) -> None:
    store = SymbolStore(database)
    tether = Instrument("bitfinex", "BTC", "USDT", "tBTCUST", "BTC", "UST", tick_size=0.1)
    dash = Instrument("bitfinex", "DASH", "USD", "tDSHUSD", "DSH", "USD")
    await store.upsert("bitfinex", [tether, dash], 1000)
    found = await store.find("bitfinex", "BTC", "USDT")
    assert found is not None
    assert found.instrument == tether
    assert await store.find("bitfinex", "BTC", "UST") == found
    assert await store.find("bitfinex", "BTC", "USDT", "swap") is None
    assert await store.find("binance", "BTC", "USDT") is None


async def test_a_market_that_is_no_longer_listed_stops_trading_and_keeps_its_id(database: Database) -> None:
    store = SymbolStore(database)
    btc, eth = Instrument("binance", "BTC", "USDT", "BTCUSDT"), Instrument("binance", "ETH", "USDT", "ETHUSDT")
    await store.upsert("binance", [btc, eth], 1000)
    before = await store.load("binance")
    await store.upsert("binance", [btc], 2000)
    assert set(await store.load("binance", trading_only=True)) == {btc.key}
    await store.upsert("binance", [btc, eth], 3000)
    assert await store.load("binance") == before
