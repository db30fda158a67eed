"""Keys of one's own: what each may do, how much of it, and when it ends."""

from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from fastapi import Request
from pydantic import SecretStr
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.keys import Scope, Wish, digest, new_key
from app.stores.database import Database
from app.stores.keys import KeyStore
from tests.fixtures.command_line import CommandLine, candlehouse
from tests.fixtures.postgres import run_apart
from tests.fixtures.simulator import simulator
from tests.fixtures.web import NOW_MS, SetClock, listening, rest, web_app, web_deps
from web import session
from web.deps import Deps
from web.visitors import KEPT_S, Visitors

__all__ = ["candlehouse", "simulator"]

TOKEN = "a-token-that-nobody-guesses"
DAY_MS = 86_400_000


class Now:
    """Real seconds that a test sets."""

    def __init__(self) -> None:
        self.s = 1_790_000_000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def keys(database: Database) -> KeyStore:
    return KeyStore(database)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def deps(database: Database, redis_client: Redis, clock: SetClock) -> Deps:
    return web_deps(database, redis_client, clock, token=SecretStr(TOKEN))


@pytest.fixture
def closed(database: Database, redis_client: Redis, clock: SetClock) -> Deps:
    """Only this machine is let in, and there is no token."""
    return web_deps(database, redis_client, clock)


async def key_of(keys: KeyStore, scope: Scope, per_minute: int = 600, days: int = 0) -> str:
    key = new_key()
    await keys.add(Wish(f"a {scope} key", scope, per_minute, days), digest(key), NOW_MS)
    return key


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def writing(deps: Deps) -> Any:
    """The application, and routes beside its own that write."""
    app = web_app(deps)

    async def write() -> dict[str, str]:
        return {}

    app.add_api_route("/api/written", write, methods=["POST"])
    return app


async def codes(deps: Deps, headers: dict[str, str]) -> list[int]:
    async with rest(deps, writing(deps)) as web:
        asked = [("GET", "/api/test"), ("GET", "/metrics"), ("POST", "/api/written"), ("GET", "/api/keys")]
        return [(await web.request(method, path, headers=headers)).status_code for method, path in asked]


@pytest.mark.parametrize(
    ("scope", "expected"), [("read", [200, 200, 403, 403]), ("write", [200] * 3 + [403]), ("admin", [200] * 4)]
)
async def test_each_scope_may_do_what_those_before_it_may(
    deps: Deps, keys: KeyStore, scope: str, expected: list[int]
) -> None:
    assert await codes(deps, bearer(await key_of(keys, Scope(scope)))) == expected


async def test_what_writes_needs_a_key_on_ones_own_machine_too(closed: Deps, keys: KeyStore) -> None:
    assert await codes(closed, {}) == [200, 200, 401, 401]
    assert await codes(closed, bearer(await key_of(keys, Scope.READ))) == [200, 200, 403, 403]
    assert await codes(closed, bearer(await key_of(keys, Scope.WRITE))) == [200, 200, 200, 403]
    async with rest(closed, writing(closed)) as web:
        sentence = (await web.post("/api/written")).json()["detail"]
        assert sentence.startswith("This needs a key that may write: `candlehouse keys add NAME --scope write`")


async def test_a_person_signs_in_with_a_key_and_may_do_what_it_may(closed: Deps, keys: KeyStore) -> None:
    async with rest(closed, writing(closed)) as web:
        key = await key_of(keys, Scope.WRITE)
        entered = await web.post("/sign-in", params={"next": "/view/wschart"}, data={"token": key})
        assert (entered.status_code, entered.headers["Location"]) == (303, "/view/wschart")
        assert key not in entered.headers["Set-Cookie"]
        assert (await web.post("/api/written")).status_code == 200
        assert (await web.get("/api/keys")).status_code == 403
        await web.post("/sign-out")
        assert (await web.post("/api/written")).status_code == 401


async def test_a_session_ends_with_its_key(deps: Deps, keys: KeyStore, database: Database) -> None:
    now = Now()
    known = Visitors(now, now)
    number = await keys.add(Wish("x", Scope.READ, 600, 0), digest("ch_x"), NOW_MS)
    visitor = await known.showing("ch_x", deps)
    assert visitor and visitor.key
    scope = {
        "type": "http",
        "headers": [(b"cookie", f"{session.COOKIE}={known.cookie(visitor, deps)}".encode())],
    }
    asked = Request(scope)
    assert await known.signed_in(asked, deps)
    assert await keys.revoke(number, NOW_MS)
    now.s += KEPT_S
    assert await known.signed_in(asked, deps) is None
    assert await known.showing("ch_x", deps) is None


async def test_whoever_may_only_read_may_leave(deps: Deps, keys: KeyStore) -> None:
    async with rest(deps) as web:
        await web.post("/sign-in", data={"token": await key_of(keys, Scope.READ)})
        assert (await web.get("/api/test")).status_code == 200
        assert (await web.post("/sign-out")).headers["Location"] == "/sign-in"
        assert (await web.get("/api/test")).status_code == 401


async def test_an_expired_key_opens_nothing(deps: Deps, keys: KeyStore, clock: SetClock) -> None:
    headers = bearer(await key_of(keys, Scope.READ, days=1))
    async with rest(deps) as web:
        assert (await web.get("/api/test", headers=headers)).status_code == 200
        clock.set(NOW_MS + DAY_MS)
        assert (await web.get("/api/test", headers=headers)).status_code == 401


async def test_a_key_asks_no_more_often_than_it_may_and_shuts_no_other_out(deps: Deps, keys: KeyStore) -> None:
    greedy, other = await key_of(keys, Scope.READ, per_minute=5), await key_of(keys, Scope.READ)
    async with rest(deps) as web:
        found = [await web.get("/api/test", headers=bearer(greedy)) for _ in range(6)]
        assert [one.status_code for one in found] == [200] * 5 + [429]
        assert 0 < int(found[-1].headers["Retry-After"]) <= 12
        assert found[-1].json()["detail"].startswith("This key may make 5 requests a minute: ask again in ")
        assert (await web.get("/api/test", headers=bearer(other))).status_code == 200


async def test_a_websocket_opens_with_a_key_that_reads(deps: Deps, keys: KeyStore) -> None:
    headers = bearer(await key_of(keys, Scope.READ))
    async with listening(deps) as address:
        async with connect(f"ws://{address}/api/test", additional_headers=headers) as socket:
            assert await socket.recv() == '{"detail":"Hello WebSocket"}'
        with pytest.raises(InvalidStatus):
            await connect(f"ws://{address}/api/test", additional_headers=bearer(new_key()))


async def test_when_a_key_was_used_is_noted(deps: Deps, keys: KeyStore) -> None:
    key = await key_of(keys, Scope.READ)
    async with rest(deps) as web:
        await web.get("/api/test", headers=bearer(key))
    assert [(one.used_ms, one.revoked_ms) for one in await keys.all()] == [(NOW_MS, None)]


async def test_whoever_may_do_everything_makes_and_revokes_keys_by_rest(deps: Deps, keys: KeyStore) -> None:
    async with rest(deps) as web:
        web.headers.update(bearer(TOKEN))
        wrong = await web.post("/api/keys", json={"name": "bot", "scope": "root"})
        assert (wrong.status_code, wrong.json()["detail"]) == (
            422,
            "Unknown scope 'root'; use one of read, write, admin.",
        )
        made = await web.post("/api/keys", json={"name": "bot", "scope": "write", "days": 1})
        assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
        key = made.json()["key"]
        row = {"id": 1, "name": "bot", "scope": "write", "per_minute": 600, "created": NOW_MS}
        row |= {"expires": NOW_MS + DAY_MS, "used": None, "revoked": None}
        assert (await web.get("/api/keys")).json() == [row] and made.json() == {"id": 1, "key": key}
        assert (await web.get("/api/test", headers=bearer(key))).status_code == 200
        codes = [(await web.delete(f"/api/keys/{number}")).status_code for number in (1, 1, 2)]
        assert codes == [204, 404, 404]
    assert [one.revoked_ms for one in await keys.all()] == [NOW_MS]


def fetch(url: str) -> list[Any]:
    """The keys that are stored."""

    async def read() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(STORED)]
        finally:
            await connection.close()

    return run_apart(read())


STORED = "SELECT name, scope, digest, expires_at - created_at, revoked_at IS NULL FROM api_keys"


def test_keys_are_made_listed_and_revoked_by_a_command(candlehouse: CommandLine, postgres_url: str) -> None:
    status, said = candlehouse("keys", "add", "back tests", "--scope", "write", "--days", "3")
    first, key = said.strip().splitlines()
    assert (status, first) == (0, "Key 1 may write. It is shown only here:")
    (stored,) = fetch(postgres_url)
    assert stored == ("back tests", "write", digest(key), timedelta(days=3), True)
    status, said = candlehouse("keys", "list")
    assert "back tests" in said and key not in said
    assert candlehouse("keys", "revoke", "1") == (0, "Key 1 opens nothing any more.\n")
    sentence = "There is no key 1 to revoke; candlehouse keys list shows them."
    assert candlehouse("keys", "revoke", "1") == (2, f"{sentence}\n")
    assert not fetch(postgres_url)[0][4]


@pytest.mark.parametrize(
    "wrong",
    [["x", "--scope", "root"], ["x", "--per-minute", "0"], ["x", "--days", "-1"], [""], ["a\nb"], ["y" * 61]],
)
def test_a_mistake_makes_no_key(candlehouse: CommandLine, postgres_url: str, wrong: list[str]) -> None:
    status, said = candlehouse("keys", "add", *wrong)
    assert (status, len(said.strip().splitlines()), fetch(postgres_url)) == (2, 1, [])
