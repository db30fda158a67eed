"""Which names the web answers to, which sites' pages may use it, what browsers are told, and what is too much."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from pydantic import SecretStr
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.roles import all_roles
from app.settings import load_settings
from app.stores.database import Database
from common.errors import BadInput
from tests.fixtures.web import SetClock, listening, rest, web_app, web_deps
from web.bounds import MOST_BYTES, Bounds
from web.deps import Deps

APP = "https://app.example.org"
SERVERS = {"DATABASE_URL": "postgresql://x:y@10.1.2.3/z", "REDIS_URL": "redis://10.1.2.3/0"}
TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture
def deps(database: Database, redis_client: Redis) -> Deps:
    return web_deps(database, redis_client, SetClock())


HERE = ["localhost:8000", "127.0.0.1", "[::1]:8000", "coin-app:8000", "candles.localhost", "192.168.1.7:8000"]
ELSEWHERE = ["evil.example", "127.0.0.1.evil.example:8000", "localhost.evil.example", "[::1", "a.b"]


@pytest.mark.parametrize("host", HERE)
async def test_this_machine_is_known_by_its_own_names(deps: Deps, host: str) -> None:
    async with rest(deps) as web:
        assert (await web.get("/api/test", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", ELSEWHERE)
async def test_a_name_that_somebody_made_to_lead_here_is_not_answered(deps: Deps, host: str) -> None:
    async with rest(deps) as web:
        answer = await web.get("/api/test", headers={"Host": host})
    sentence = "This Candlehouse does not answer to that name; ALLOWED_HOSTS in its settings names others."
    assert (answer.status_code, answer.json()["detail"]) == (421, sentence)


async def test_a_proxys_name_is_answered_and_others_are_not_even_with_the_token(
    database: Database, redis_client: Redis
) -> None:
    deps = web_deps(
        database, redis_client, SetClock(), token=SecretStr(TOKEN), hosts=frozenset({"candles.example.org"})
    )
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    async with rest(deps) as web:
        asked = [("candles.example.org", bearer), ("CANDLES.example.org:443", bearer), ("evil.example", bearer)]
        found = [await web.get("/api/test", headers={"Host": host, **more}) for host, more in asked]
        found.append(await web.get("/api/test", headers={"Host": "candles.example.org"}))
    assert [one.status_code for one in found] == [200, 200, 421, 401]


async def test_pages_of_other_sites_open_no_websocket_and_write_nothing(deps: Deps) -> None:
    async with listening(deps) as address:
        for origin in ("https://evil.example", "null", "http://127.0.0.1:1", f"http://{address}.evil.example"):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://{address}/api/test", origin=origin)  # type: ignore[arg-type]
            assert refused.value.response.status_code == 403
        for origin in (f"http://{address}", f"https://{address}", None):
            async with connect(f"ws://{address}/api/test", origin=origin) as socket:  # type: ignore[arg-type]
                assert await socket.recv() == '{"detail":"Hello WebSocket"}'
    async with rest(deps) as web:
        for path in ("/sign-in", "/sign-out", "/api/test"):
            assert (await web.post(path, headers={"Origin": "https://evil.example"})).status_code == 403
        assert (await web.post("/sign-in", headers={"Origin": "null", "Host": ""})).status_code == 403


async def test_no_site_reads_anything_unless_it_is_named(deps: Deps) -> None:
    asks = {"Origin": APP, "Access-Control-Request-Method": "GET"}
    async with rest(deps) as web:
        read, before = await web.get("/api/test", headers={"Origin": APP}), await web.options("/", headers=asks)
        other = await web.options("/", headers=asks | {"Host": "evil.example"})
    assert (before.status_code, other.status_code) == (403, 421)
    assert not [name for one in (read, before) for name in one.headers if name.startswith("access-control")]


async def test_a_site_that_is_named_reads_with_a_key_and_never_with_our_cookie(
    database: Database, redis_client: Redis
) -> None:
    deps = web_deps(database, redis_client, SetClock(), token=SecretStr(TOKEN), origins=frozenset({APP}))
    asks = {"Origin": APP, "Access-Control-Request-Method": "GET"}
    async with rest(deps) as web:
        before = await web.options("/api/test", headers=asks)
        read = await web.get("/api/test", headers={"Origin": APP, "Authorization": f"Bearer {TOKEN}"})
        refused = await web.get("/api/test", headers={"Origin": APP})
        another = await web.get("/health", headers={"Origin": "https://evil.example"})
    assert (before.status_code, before.headers["Access-Control-Allow-Headers"]) == (
        204,
        "Authorization, Content-Type",
    )
    for one, status in ((before, 204), (read, 200), (refused, 401)):
        assert (one.status_code, one.headers["Access-Control-Allow-Origin"]) == (status, APP)
        assert "Access-Control-Allow-Credentials" not in one.headers and "Origin" in one.headers["Vary"]
    assert "Access-Control-Allow-Origin" not in another.headers


async def test_nothing_that_is_written_into_a_page_runs_and_nothing_frames_it(deps: Deps) -> None:
    async with rest(deps) as web:
        for path in ("/view/wschart", "/view/analytics/general", "/view/coverage", "/sign-in"):
            policy = (await web.get(path)).headers["Content-Security-Policy"]
            assert "script-src 'self';" in policy and "frame-ancestors 'self'" in policy
            assert policy.count("unsafe") == policy.count("style-src-attr 'unsafe-inline'") == 1
        for path in ("/api/test", "/nowhere", "/static/css/tokens.css"):
            answer = await web.get(path)
            assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_request_that_is_too_large_is_refused_and_read_no_further() -> None:
    app, read = FastAPI(), list[int]()

    async def parts() -> AsyncIterator[bytes]:
        for number in range(9):
            read.append(number)
            yield b"x" * MOST_BYTES

    @app.post("/taken")
    async def take(request: Request) -> int:
        return len(await request.body())

    app.add_middleware(Bounds)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://web") as web:
        assert (await web.post("/taken", content=b"x" * MOST_BYTES)).json() == MOST_BYTES
        told = await web.post("/taken", content=b"x" * (MOST_BYTES + 1))
        untold = await web.post("/taken", content=parts())
    assert read == [0, 1]
    sentence = "A request may have 65536 bytes at most."
    assert [(one.status_code, one.json()["detail"]) for one in (told, untold)] == [(413, sentence)] * 2


async def test_an_answer_that_does_not_begin_is_given_up_and_one_that_did_may_take_its_time() -> None:
    app, stopped, later = FastAPI(), asyncio.Event(), asyncio.Event()

    @app.get("/never")
    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def slowly(request: Request) -> Any:
        from starlette.responses import StreamingResponse

        async def parts() -> AsyncIterator[bytes]:
            yield b"a"
            await later.wait()
            yield b"b"

        return StreamingResponse(parts())

    app.add_api_route("/slowly", slowly)
    app.add_middleware(Bounds, 0.05)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://web") as web:
        slow = asyncio.ensure_future(web.get("/slowly"))
        answer = await web.get("/never")
        assert (answer.status_code, stopped.is_set()) == (503, True)
        assert answer.json()["detail"] == "There was no answer within 0.05 s; ask for less, or again later."
        await web.get("/never")  # which takes as long as an answer may take to begin, once more
        later.set()
        assert (await slow).content == b"ab"


async def test_behind_a_path_of_a_proxy_people_are_led_within_it(database: Database, redis_client: Redis) -> None:
    deps = web_deps(database, redis_client, SetClock(), token=SecretStr(TOKEN))
    app = web_app(deps)
    async with rest(deps, app):
        transport = httpx.ASGITransport(app, root_path="/candles")
        async with httpx.AsyncClient(transport=transport, base_url="http://web") as web:
            sent = await web.get("/candles/view/wschart", headers={"Accept": "text/html"})
            assert sent.headers["Location"] == "/candles/sign-in?next=/view/wschart"
            entered = await web.post("/candles/sign-in?next=/view/wschart", data={"token": TOKEN})
            assert (entered.status_code, entered.headers["Location"]) == (303, "/candles/view/wschart")


def test_the_web_is_told_of_its_proxy() -> None:
    settings = load_settings(
        {**SERVERS, "ROOT_PATH": "/candles", "TRUSTED_PROXIES": "10.0.0.0/8", "EXCHANGES": "binance"}, "/nowhere"
    )
    (web,) = [role.command for role in all_roles(settings, {}) if role.name == "web"]
    assert [web[web.index(name) + 1] for name in ("--root-path", "--forwarded-allow-ips")] == [
        "/candles",
        "10.0.0.0/8",
    ]


WRONG = {
    "ALLOWED_HOSTS": "https://candles.example.org",
    "CORS_ORIGINS": "app.example.org",
    "TRUSTED_PROXIES": "proxy",
    "ROOT_PATH": "candles/",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_of_the_web_is_named_in_one_sentence(name: str) -> None:
    with pytest.raises(BadInput) as refused:
        load_settings({**SERVERS, "WEB_TOKEN": TOKEN, name: WRONG[name]}, "/nowhere")
    assert refused.value.sentence.startswith(f"{name} must be ")


def test_a_name_for_others_needs_the_token() -> None:
    with pytest.raises(BadInput, match=r"^ALLOWED_HOSTS lets others in, but WEB_TOKEN is not set: "):
        load_settings({**SERVERS, "ALLOWED_HOSTS": "candles.example.org"}, "/nowhere")
