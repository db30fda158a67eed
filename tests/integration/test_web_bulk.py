"""Answers that are sent while they are made: to clients that read slowly, that go, and when the database does."""

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Literal

import httpx
import pyarrow
import pytest
from redis.asyncio import Redis

from app.stores.bar_stream import BarStream
from app.stores.database import Database, open_database
from app.stores.symbols import SymbolStore
from common.span import MINUTE_MS, floor_minute
from tests.fixtures.postgres import Server
from tests.fixtures.web import BTC, NOW_MS, SetClock, listening, rest, shared_database, store, web_app, web_deps

#: 50 MB, and what PostgreSQL and a client that does not read have between them holds 45 (tcp_rmem, tcp_wmem).
MINUTES = 500_000
PATH = "/api/ohlcvs?exchange=binance&base_id=BTC&quote_id=USDT&interval=1m&format="
MANY = """
INSERT INTO candles (symbol_id, time, open, high, low, close, volume, source)
SELECT $1, $2::timestamptz - n * interval '1 minute', n, n + 2, n - 1, n + 1, n % 97, 3
FROM generate_series(1, $3) AS n
"""
COPIES = """
SELECT wait_event FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'COPY%' AND state = 'active'
"""
LIMIT_S = 60


async def fill(database: Database) -> None:
    await store(database, BTC, [])
    symbol = await SymbolStore(database).find("binance", "BTC", "USDT")
    assert symbol is not None
    async with database.begin() as connection:
        await connection.execute(MANY, symbol.id, floor_minute(NOW_MS), MINUTES)


@pytest.fixture(scope="module")
def url(postgres_server: Server) -> Iterator[str]:
    with shared_database(postgres_server, fill) as url:
        yield url


@pytest.fixture
async def many(url: str) -> AsyncIterator[Database]:
    database = open_database(url)
    yield database
    await database.close()


@asynccontextmanager
async def lazy_client(address: str, form: str) -> AsyncIterator[socket.socket]:
    """Asks, and does not read."""
    host, _, port = address.partition(":")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, (host, int(port)))
        asked = f"GET {PATH}{form}&details=true HTTP/1.1\r\nHost: {address}\r\n\r\n"
        await loop.sock_sendall(client, asked.encode())
        yield client


async def until(database: Database, wanted: list[str]) -> None:
    """Until what the running COPYs wait for is this."""
    async with asyncio.timeout(LIMIT_S), database.connection() as connection:
        while [row["wait_event"] for row in await connection.fetch(COPIES)] != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_postgresql_waits_for_a_client_that_reads_slowly_and_stops_when_it_goes(
    many: Database, redis_client: Redis
) -> None:
    async with listening(web_deps(many, redis_client, SetClock())) as address:
        async with lazy_client(address, "arrow"):
            await until(many, ["ClientWrite"])
        await until(many, [])
        assert (await _read(address)).num_rows == MINUTES, "the connections are as good as before"


async def _read(address: str) -> pyarrow.Table:
    async with httpx.AsyncClient(base_url=f"http://{address}", timeout=LIMIT_S) as client:
        answer = await client.get(f"{PATH}arrow", headers={"Accept-Encoding": "identity"})
    return pyarrow.ipc.open_stream(io.BytesIO(answer.content)).read_all()


async def test_every_minute_of_many_comes_once_and_in_order(many: Database, redis_client: Redis) -> None:
    async with rest(web_deps(many, redis_client, SetClock())) as web:
        answer = await web.get(f"{PATH}arrow", headers={"Accept-Encoding": "identity"})
        read = pyarrow.ipc.open_stream(io.BytesIO(answer.content)).read_all()
        limited = await web.get(f"{PATH}arrow&limit=200000", headers={"Accept-Encoding": "identity"})
    first_ms = floor_minute(NOW_MS) - MINUTES * MINUTE_MS
    times = read.column("time").cast(pyarrow.int64()).to_pylist()
    assert times == [first_ms + n * MINUTE_MS for n in range(MINUTES)]
    assert read.column("close").to_pylist() == [n + 1 for n in range(MINUTES, 0, -1)]
    newest = pyarrow.ipc.open_stream(io.BytesIO(limited.content)).read_all()
    assert newest.equals(read.slice(MINUTES - 200_000))


async def test_an_answer_that_takes_too_long_lacks_its_end(
    many: Database, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off = asyncio.Event()
    monkeypatch.setattr("web.bulk.response.LONGEST_S", 0.5)
    monkeypatch.setattr("web.bulk.response.log", SimpleNamespace(warning=lambda said: broken_off.set()))
    deps = web_deps(many, redis_client, SetClock())
    async with listening(deps) as address, lazy_client(address, "csv") as client:
        async with asyncio.timeout(LIMIT_S):
            await broken_off.wait()
        await until(many, [])
        got, loop = b"", asyncio.get_running_loop()
        async with asyncio.timeout(LIMIT_S):
            while piece := await loop.sock_recv(client, 1 << 20):
                got += piece
    assert got.startswith(b"HTTP/1.1 200") and not got.endswith(b"0\r\n\r\n")


class Places(asyncio.Semaphore):
    """Says when somebody wants one."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.wanted = asyncio.Event()

    async def acquire(self) -> Literal[True]:
        self.wanted.set()
        return await super().acquire()


async def test_one_client_more_than_places_waits_until_one_is_free(many: Database, redis_client: Redis) -> None:
    app = web_app(web_deps(many, redis_client, SetClock()))
    app.state.bulk_places = places = Places(1)
    async with rest(web_deps(many, redis_client, SetClock()), app) as web:
        async with places:
            places.wanted.clear()
            waiting = asyncio.create_task(web.get(f"{PATH}csv&limit=1"))
            await asyncio.wait_for(places.wanted.wait(), LIMIT_S)
            assert (await web.get(f"{PATH}json&limit=1")).status_code == 200
            assert not waiting.done()
        assert len((await waiting).text.splitlines()) == 2


async def test_without_a_database_it_is_said_before_anything_is_sent(redis_client: Redis, url: str) -> None:
    database = open_database(url)
    deps = web_deps(database, redis_client, SetClock())
    gone = BarStream(open_database("postgresql://nobody@127.0.0.1:1/none"))
    async with rest(replace(deps, bar_stream=gone)) as web:
        for form in ("csv", "arrow", "parquet"):
            answer = await web.get(f"{PATH}{form}")
            assert answer.status_code == 503
            assert "PostgreSQL at 127.0.0.1:1 cannot be reached" in answer.json()["detail"]
    await database.close()
