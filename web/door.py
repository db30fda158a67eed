"""Who may come in, and how far.

Where others than this machine can reach the web, everything but a probe and the sign-in page needs WEB_TOKEN or
a key. Whatever writes needs one anywhere. A program sends it as a Bearer token, or as the password of HTTP Basic
with any user. A person types it once at /sign-in and keeps a cookie. Nobody's address opens the door, for through
a published port or a proxy everyone has the same one.

Against forged requests from other sites the cookie is SameSite=Strict: a browser sends it along with nothing
that another site began, neither a form nor a script's request nor a WebSocket; and `web.origins` refuses those.
"""

from urllib.parse import quote

from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import keys
from common.errors import Retryable
from web import origins, visitors
from web.deps import Deps
from web.errors import refusal
from web.guesses import Guesses
from web.lasting import POLICY_VIOLATION, while_opened
from web.rates import Rates
from web.visitors import Visitor, Visitors, shown

#: A probe's, the sign-in page, and what that is drawn with.
OPEN, OPEN_FOLDER = ("/health", "/sign-in"), "/static/"
#: Whoever may come in at all may leave.
LEAVING = "/sign-out"
KEYS_FOLDER = "/api/keys"
ALLOWED = "Authorization: Bearer followed by the token or a key"


class Door:
    """Outside of all routes. Shut until the dependencies are open, for only they know who is let in."""

    def __init__(self, app: ASGIApp, visitors: Visitors | None = None) -> None:
        self._app = app
        self._visitors = visitors or Visitors()
        self._guesses = Guesses()
        self._rates = Rates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        asked = HTTPConnection(scope)
        answer = await self._answer(asked)
        if answer is None:
            await self._serve(asked, receive, _shared(asked, send))
        elif scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            await answer(scope, receive, _shared(asked, send))

    async def _serve(self, asked: HTTPConnection, receive: Receive, send: Send) -> None:
        visitor: Visitor | None = getattr(asked.state, "visitor", None)
        served = self._app(asked.scope, receive, send)
        if asked.scope["type"] != "websocket" or visitor is None or visitor.key is None:
            return await served
        deps: Deps = asked.app.state.deps
        await while_opened(served, lambda: self._visitors.is_still_let_in(visitor, deps), visitors.KEPT_S, send)

    async def _answer(self, asked: HTTPConnection) -> Response | None:
        """What keeps the request outside; None lets it in."""
        deps: Deps | None = getattr(asked.app.state, "deps", None)
        path = _path(asked)
        if path == "/health":
            return None
        if deps is None:
            return refusal(503, "Candlehouse is starting; ask again in a moment.", "", "")
        if answer := origins.refuse(asked, deps) or origins.preflight(asked, deps):
            return answer
        if path in OPEN or path.startswith(OPEN_FOLDER):
            return None
        try:
            return await self._judge(asked, deps, _needed(asked))
        except Retryable as error:
            return refusal(503, str(error), "", "")

    async def _judge(self, asked: HTTPConnection, deps: Deps, needed: keys.Scope) -> Response | None:
        if needed is keys.Scope.READ and not deps.is_public:
            return None
        visitor = await self._visitors.signed_in(asked, deps)
        if visitor is None:
            given = shown(asked)
            if given is None:
                return _to_sign_in(asked) if _is_person(asked) else _unauthorized(_lacking(needed))
            visitor = await self._visitors.showing(given, deps)
        return self._wrong() if visitor is None else self._let_in(asked, visitor, needed)

    def _let_in(self, asked: HTTPConnection, visitor: Visitor, needed: keys.Scope) -> Response | None:
        if not visitor.scope.allows(needed):
            sentence = f"This key may only {visitor.scope}; this needs one that may {_words(needed)}."
            return refusal(403, sentence, "Authorization", f"a key of scope {needed}")
        if visitor.key and (wait_s := self._rates.wait_s(visitor.key)):
            allowed = f"{visitor.key.per_minute} requests a minute"
            answer = refusal(429, f"This key may make {allowed}: ask again in {wait_s} s.", "", allowed)
            answer.headers["Retry-After"] = str(wait_s)
            return answer
        asked.state.visitor = visitor
        return None

    def _wrong(self) -> Response:
        """The right token is let in at any time, so that nobody's guesses shut others out."""
        if wait_s := self._guesses.wait_s():
            answer = refusal(429, f"Too many wrong tokens: ask again in {wait_s} s.", "Authorization", ALLOWED)
            answer.headers["Retry-After"] = str(wait_s)
            return answer
        self._guesses.add()
        return _unauthorized("This is neither the token of WEB_TOKEN nor a key that opens anything.")


def _needed(asked: HTTPConnection) -> keys.Scope:
    path = _path(asked)
    if path == KEYS_FOLDER or path.startswith(f"{KEYS_FOLDER}/"):
        return keys.Scope.ADMIN
    writes = asked.scope["type"] == "http" and asked.scope["method"] not in origins.SAFE and path != LEAVING
    return keys.Scope.WRITE if writes else keys.Scope.READ


def _lacking(needed: keys.Scope) -> str:
    if needed is keys.Scope.READ:
        return "This needs the token of WEB_TOKEN or a key."
    return f"This needs a key that may {_words(needed)}: `candlehouse keys add NAME --scope {needed}` makes one."


def _words(needed: keys.Scope) -> str:
    return "do everything" if needed is keys.Scope.ADMIN else needed.value


def _shared(asked: HTTPConnection, send: Send) -> Send:
    """`send` that tells browsers which other sites may read the answer."""

    async def send_shared(message: Message) -> None:
        deps: Deps | None = getattr(asked.app.state, "deps", None)
        if deps and message["type"] == "http.response.start":
            origins.share(asked, deps, MutableHeaders(scope=message))
        await send(message)

    return send_shared


def _path(asked: HTTPConnection) -> str:
    """As our routes have it, whatever a proxy puts before it."""
    path: str = asked.scope["path"]
    root: str = asked.scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def _is_person(asked: HTTPConnection) -> bool:
    page = asked.scope.get("method") == "GET" and "text/html" in asked.headers.get("accept", "")
    return page and not _path(asked).startswith("/api/")


def _to_sign_in(asked: HTTPConnection) -> Response:
    path, query = quote(_path(asked)), asked.scope["query_string"].decode("latin-1")
    wanted = f"{path}?{query}" if query else path
    root = quote(asked.scope.get("root_path", ""))
    return RedirectResponse(f"{root}/sign-in?next={quote(wanted, safe='/')}", 303)


def _unauthorized(reason: str) -> Response:
    sentence = f"{reason} Send it as a Bearer token, or sign in at /sign-in."
    answer = refusal(401, sentence, "Authorization", ALLOWED)
    answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
