"""Where others can reach the web, nothing but a probe and the sign-in page answers without the token."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.stores.database import Database
from tests.fixtures.web import SetClock, listening, rest, web_app, web_deps
from web import session
from web.deps import Deps
from web.door import Door
from web.guesses import MOST, Guesses
from web.main import create_app
from web.sign_in import local

TOKEN = "a-token-that-nobody-guesses"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HTML = {"Accept": "text/html,*/*"}


@pytest.fixture
def deps(database: Database, redis_client: Redis) -> Deps:
    return web_deps(database, redis_client, SetClock(), token=SecretStr(TOKEN))


@pytest.fixture
async def web(deps: Deps) -> AsyncIterator[httpx.AsyncClient]:
    async with rest(deps) as client:
        yield client


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"anybody:{password}".encode()).decode()}


async def sign_in(web: httpx.AsyncClient, token: str = TOKEN, onward: str = "/", **how: Any) -> httpx.Response:
    return await web.post("/sign-in", params={"next": onward}, data={"token": token}, **how)


CLOSED = ["/", "/ready", "/api/status", "/api/test", "/api/openapi.json", "/api/ohlcvs?exchange=x", "/nowhere"]
CLOSED += [
    "/metrics",
    "/metrics/targets",
    "/view/wschart",
    "/health/",
    "/sign-in/",
    "//sign-in",
    "/static",
    "/sign-out",
]


@pytest.mark.parametrize("path", CLOSED)
async def test_without_the_token_nothing_is_told_but_that_it_is_needed(web: httpx.AsyncClient, path: str) -> None:
    answer = await web.get(f"http://web{path}")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    sentence = "This needs the token of WEB_TOKEN or a key. Send it as a Bearer token, or sign in at /sign-in."
    allowed = "Authorization: Bearer followed by the token or a key"
    about = {"type": "about:blank", "title": "Unauthorized", "status": 401}
    assert answer.json() == about | {"detail": sentence, "field": "Authorization", "allowed": allowed}


async def test_a_probe_and_what_draws_the_sign_in_page_are_open(web: httpx.AsyncClient) -> None:
    for path in ("/health", "/sign-in", "/static/css/sign-in.css", "/static/favicon.svg"):
        assert (await web.get(path)).status_code == 200, path


@pytest.mark.parametrize("headers", [BEARER, {"Authorization": f"bearer  {TOKEN} "}, basic(TOKEN)])
async def test_the_token_opens_everything(web: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await web.get("/api/test", headers=headers)).json() == []
    assert (await web.get("/view/wschart", headers=headers)).status_code == 200


WRONG = [
    "",
    "Bearer",
    f"Bearer {TOKEN[:-1]}",
    f"Bearer {TOKEN}x",
    f"Digest {TOKEN}",
    TOKEN,
    "Basic ***",
    "Basic é",
]
WRONG += [basic("")["Authorization"], "Basic " + b64encode(TOKEN.encode()).decode(), "Bearer ☃"]


@pytest.mark.parametrize("authorization", WRONG)
async def test_another_token_opens_nothing(web: httpx.AsyncClient, authorization: str) -> None:
    answer = await web.get("/api/test", headers={"Authorization": authorization.encode()})
    assert answer.status_code == 401


async def test_a_token_in_the_address_opens_nothing(web: httpx.AsyncClient) -> None:
    assert (await web.get("/api/test", params={"token": TOKEN})).status_code == 401


async def test_where_only_this_machine_is_let_in_nobody_is_asked(database: Database, redis_client: Redis) -> None:
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        assert (await web.get("/api/test")).status_code == 200
        assert "Whoever changes something here" in (await web.get("/sign-in")).text


async def test_before_the_settings_are_read_the_door_is_shut() -> None:
    transport = httpx.ASGITransport(app=create_app(lambda: pytest.fail("opened")))
    async with httpx.AsyncClient(transport=transport, base_url="http://web") as web:
        assert (await web.get("/health")).status_code == 200
        for path in ("/api/test", "/sign-in"):
            answer = await web.get(path, headers=BEARER)
            assert answer.status_code == 503
            assert answer.json()["detail"] == "Candlehouse is starting; ask again in a moment."


async def test_a_person_is_led_to_the_sign_in_page_and_back(web: httpx.AsyncClient) -> None:
    wanted = "/view/w%20s?exchange=binance&base_id=A%26B"
    sent = await web.get(wanted, headers=HTML)
    where = "/sign-in?next=/view/w%2520s%3Fexchange%3Dbinance%26base_id%3DA%2526B"
    assert (sent.status_code, sent.headers["Location"]) == (303, where)
    page = await web.get(where)
    assert 'type="password"' in page.text and page.headers["Cache-Control"] == "no-store"
    back = await web.post(where, data={"token": f" {TOKEN}\n"})
    assert (back.status_code, back.headers["Location"]) == (303, wanted)
    assert (await web.get(wanted, headers=HTML)).status_code == 404
    assert (await web.get(where)).headers["Location"] == wanted


async def test_only_a_browser_that_wants_a_page_is_led_there(web: httpx.AsyncClient) -> None:
    for answer in (await web.get("/api/test", headers=HTML), await web.post("/view/wschart", headers=HTML)):
        assert answer.status_code == 401


async def test_the_cookie_is_not_the_token_and_no_script_and_no_other_site_can_use_it(
    web: httpx.AsyncClient,
) -> None:
    cookie = (await sign_in(web)).headers["Set-Cookie"]
    value, *flags = cookie.split("; ")
    assert set(flags) == {"HttpOnly", "Path=/", "SameSite=strict", "Max-Age=2592000"}
    assert TOKEN not in value
    by_https = await sign_in(web, headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in by_https.headers["Set-Cookie"].split("; ")
    assert "Secure" in (await web.post("https://web/sign-in", data={"token": TOKEN})).headers["Set-Cookie"]


async def test_a_cookie_dies_with_its_token_after_thirty_days_and_when_it_is_touched(
    web: httpx.AsyncClient,
) -> None:
    now_s = time.time()
    good = session.begin("token", TOKEN, now_s - session.KEPT_S + 60)
    whose, expires, seal = good.split(".")
    later = f"{whose}.{int(expires) + 1}.{seal}"
    old = session.begin("token", TOKEN, now_s - session.KEPT_S - 1)
    other = session.begin("token", TOKEN + "2", now_s)
    another = session.begin("1", TOKEN, now_s)
    status = {}
    for value in (good, later, old, other, another, seal, f".{seal}", f"1.{expires}.{seal}", expires, "", "é.ü"):
        headers = {"Cookie": f"{session.COOKIE}={value}".encode()}
        status[value] = (await web.get("/api/test", headers=headers)).status_code
    assert [value for value, code in status.items() if code == 200] == [good]
    assert set(status.values()) == {200, 401}


async def test_a_wrong_token_shows_the_page_again_with_one_sentence(web: httpx.AsyncClient) -> None:
    answer = await sign_in(web, "wrong <b>")
    assert answer.status_code == 401 and "Set-Cookie" not in answer.headers
    assert "That is neither the token nor a key." in answer.text and "wrong" not in answer.text
    for body in (b"", f"token={TOKEN}&more={'x' * 5000}".encode(), b"\xff\xfe"):
        assert (await web.post("/sign-in", content=body)).status_code == 401


async def test_signing_out_forgets_the_cookie_and_needs_it(web: httpx.AsyncClient) -> None:
    assert (await web.post("/sign-out")).status_code == 401
    await sign_in(web)
    assert "Sign out" in (await web.get("/view/wschart")).text
    assert (await web.post("/sign-out")).headers["Location"] == "/sign-in"
    assert (await web.get("/api/test")).status_code == 401


OURS = ["/sign-in", "/sign-in?next=/", "/sign-out"]


@pytest.mark.parametrize(
    "path",
    [
        "//evil",
        "/\\evil",
        "/\t/evil",
        "\\\\evil",
        "https://evil",
        "evil",
        "/a\\..\\b",
        "/a\nb",
        "",
        "javascript:x",
        *OURS,
    ],
)
async def test_nobody_is_led_to_another_host(web: httpx.AsyncClient, path: str) -> None:
    assert local(path) == "/"
    assert (await sign_in(web, onward=path)).headers["Location"] == "/"


async def test_after_ten_wrong_tokens_the_page_waits_and_signed_in_people_and_programs_notice_nothing(
    deps: Deps,
) -> None:
    async with rest(deps) as person:
        await sign_in(person)
        codes = [(await sign_in(person, "wrong")).status_code for _ in range(MOST)]
        late = await sign_in(person)
        assert (set(codes), late.status_code) == ({401}, 429)
        wait_s = int(late.headers["Retry-After"])
        assert 0 < wait_s <= 60 and f"Try again in {wait_s} seconds." in late.text
        assert (await person.get("/api/test")).status_code == 200
        assert (await person.get("/api/test", headers=BEARER)).status_code == 200


async def test_programs_with_an_old_token_are_slowed_down_and_shut_nobody_out(web: httpx.AsyncClient) -> None:
    wrong = {"Authorization": "Bearer of-last-year"}
    codes = [(await web.get("/api/test", headers=wrong)).status_code for _ in range(MOST + 1)]
    assert codes == [401] * MOST + [429]
    late = await web.get("/api/test", headers=wrong)
    assert late.json()["detail"] == f"Too many wrong tokens: ask again in {late.headers['Retry-After']} s."
    assert (await web.get("/api/test", headers=BEARER)).status_code == 200
    assert (await sign_in(web)).status_code == 303


async def test_many_guesses_at_once_are_no_more_than_ten(web: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(sign_in(web, f"guess {n}") for n in range(3 * MOST)))
    assert sorted(answer.status_code for answer in answers) == [401] * MOST + [429] * 2 * MOST


def test_a_minute_after_the_first_wrong_token_one_more_may_be_tried() -> None:
    now_s = [0.0]
    guesses = Guesses(lambda: now_s[0])
    for second in range(MOST):
        now_s[0] = float(second)
        assert guesses.wait_s() == 0
        guesses.add()
    assert guesses.wait_s() == 51
    now_s[0] = 60.0
    assert guesses.wait_s() == 0
    guesses.add()
    assert guesses.wait_s() == 1


@pytest.mark.parametrize("path", ["/api/ohlcvs", "/api/test"])
async def test_a_websocket_without_the_token_is_refused_before_it_opens(deps: Deps, path: str) -> None:
    async with listening(deps) as address:
        for headers in ({}, {"Cookie": f"{session.COOKIE}=1.2"}):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://{address}{path}", additional_headers=headers)
            answer = refused.value.response
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert b"This needs the token of WEB_TOKEN or a key." in (answer.body or b"")


async def test_a_websocket_opens_with_the_token_and_with_the_cookie(deps: Deps) -> None:
    cookie = {"Cookie": f"{session.COOKIE}={session.begin('token', TOKEN, time.time())}"}
    async with listening(deps) as address:
        for headers in (BEARER, basic(TOKEN), cookie):
            async with connect(f"ws://{address}/api/test", additional_headers=headers) as socket:
                assert await socket.recv() == '{"detail":"Hello WebSocket"}'


async def test_a_server_that_cannot_answer_a_handshake_closes_it(deps: Deps) -> None:
    async def inside(scope: Any, receive: Any, send: Any) -> None:
        pytest.fail("let in")

    async def receive() -> Any:
        pytest.fail("nothing to hear")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    app = web_app(deps)
    app.state.deps = deps
    scope = {"type": "websocket", "path": "/api/test", "headers": [], "query_string": b"", "app": app}
    await Door(inside)(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_token_does_not_show_when_the_dependencies_are_printed(deps: Deps) -> None:
    assert TOKEN not in repr(deps)
