"""Who may come in where others than this machine can reach the web: whoever shows WEB_TOKEN.

A program sends it as a Bearer token, or as the password of HTTP Basic with any user. A person types it once at
/sign-in and keeps a cookie. Nobody's address opens the door, for through a published port or a proxy everyone has
the same one.

Against forged requests from other sites the cookie is SameSite=Strict: a browser sends it along with nothing
that another site began, neither a form nor a script's request nor a WebSocket.
"""

import time
from base64 import b64decode
from collections.abc import Callable
from urllib.parse import quote

from fastapi.responses import RedirectResponse, Response
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from web import session
from web.deps import Deps
from web.errors import refusal
from web.guesses import Guesses

#: A probe's, the sign-in page, and what that is drawn with.
OPEN, OPEN_FOLDER = ("/health", "/sign-in"), "/static/"
ALLOWED = "Authorization: Bearer followed by the token"
POLICY_VIOLATION = 1008


class Door:
    """Outside of all routes. Shut until the dependencies are open, for only they know whether there is a token."""

    def __init__(self, app: ASGIApp, now_s: Callable[[], float] = time.time) -> None:
        self._app = app
        self._now_s = now_s
        self._guesses = Guesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = None if scope["type"] == "lifespan" else self._answer(HTTPConnection(scope))
        if answer is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            await answer(scope, receive, send)

    def _answer(self, asked: HTTPConnection) -> Response | None:
        """What keeps the request outside; None lets it in."""
        deps: Deps | None = getattr(asked.app.state, "deps", None)
        path = asked.scope["path"]
        if path == "/health":
            return None
        if deps is None:
            return refusal(503, "Candlehouse is starting; ask again in a moment.", "", "")
        if deps.token is None or path in OPEN or path.startswith(OPEN_FOLDER):
            return None
        token = deps.token.get_secret_value()
        if signed_in(asked, token, self._now_s()):
            return None
        given = _given(asked.headers.get("authorization", ""))
        if given is None:
            return _to_sign_in(asked) if _is_person(asked) else _unauthorized("This needs the token of WEB_TOKEN.")
        return None if session.same(given, token) else self._wrong()

    def _wrong(self) -> Response:
        """The right token is let in at any time, so that nobody's guesses shut others out."""
        if wait_s := self._guesses.wait_s():
            answer = refusal(429, f"Too many wrong tokens: ask again in {wait_s} s.", "Authorization", ALLOWED)
            answer.headers["Retry-After"] = str(wait_s)
            return answer
        self._guesses.add()
        return _unauthorized("This is not the token of WEB_TOKEN.")


def signed_in(asked: HTTPConnection, token: str, now_s: float) -> bool:
    return session.holds(asked.cookies.get(session.COOKIE, ""), token, now_s)


def _given(authorization: str) -> str | None:
    """The token that the header shows; None when it shows none."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return None
    try:
        return b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _is_person(asked: HTTPConnection) -> bool:
    page = asked.scope.get("method") == "GET" and "text/html" in asked.headers.get("accept", "")
    return page and not asked.scope["path"].startswith("/api/")


def _to_sign_in(asked: HTTPConnection) -> Response:
    path, query = quote(asked.scope["path"]), asked.scope["query_string"].decode("latin-1")
    wanted = f"{path}?{query}" if query else path
    return RedirectResponse(f"/sign-in?next={quote(wanted, safe='/')}", 303)


def _unauthorized(reason: str) -> Response:
    sentence = f"{reason} Send it as a Bearer token, or sign in at /sign-in."
    answer = refusal(401, sentence, "Authorization", ALLOWED)
    answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
