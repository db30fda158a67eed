"""Who asks, by what they show: WEB_TOKEN, a key, or the cookie of somebody who signed in with one of them."""

import time
from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog
from starlette.requests import HTTPConnection

from app.keys import Key, Scope, digest
from common.errors import Retryable
from web import session
from web.deps import Deps

log = structlog.get_logger(__name__)

#: So long it takes at most until a revoked key opens nothing any more; and where the database is away meanwhile.
KEPT_S, TRUSTED_S = 10.0, 3600.0
#: How often at most it is noted that a key was used.
NOTED_S = 60.0
#: Keys, right and wrong, that are remembered so long.
MOST_REMEMBERED = 1000


class Visitor(NamedTuple):
    """`key` is None for whoever has WEB_TOKEN, and may do everything."""

    scope: Scope
    key: Key | None = None


class Visitors:
    """Keys are looked up in the database and remembered for a moment, that there is none as well.

    Cookies end by the time of day; for what is remembered there is a clock that nobody sets.
    """

    def __init__(
        self, now_s: Callable[[], float] = time.time, steady_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._now_s = now_s
        self._steady_s = steady_s
        self._remembered: dict[bytes | int, tuple[Key | None, float]] = {}
        self._noted_s: dict[int, float] = {}

    async def showing(self, given: str, deps: Deps) -> Visitor | None:
        """Whose token or key `given` is; None where it is nobody's. Raises Retryable while nobody can tell."""
        if deps.token and session.same(given, deps.token.get_secret_value()):
            return Visitor(Scope.ADMIN)
        place = digest(given)
        return await self._visitor(await self._key(place, lambda: deps.keys.by_digest(place)), deps)

    async def signed_in(self, asked: HTTPConnection, deps: Deps) -> Visitor | None:
        """Whose cookie comes along."""
        cookie = asked.cookies.get(session.COOKIE, "")
        name = session.whose(cookie)
        if name == session.TOKEN:
            token = deps.token.get_secret_value() if deps.token else ""
            return Visitor(Scope.ADMIN) if token and session.holds(cookie, token, self._now_s()) else None
        if not name or len(name) > 9:
            return None
        number = int(name)
        key = await self._numbered(number, deps)
        if key is None or not session.holds(cookie, key.digest.hex(), self._now_s()):
            return None
        return await self._visitor(key, deps)

    async def is_still_let_in(self, visitor: Visitor, deps: Deps) -> bool:
        """Whether the key that let `visitor` in would do so now; as before while nobody can tell."""
        if visitor.key is None:
            return True
        try:
            key = await self._numbered(visitor.key.id, deps)
        except Retryable:
            return visitor.key.opens(deps.clock.now_ms())
        return key is not None and key.opens(deps.clock.now_ms())

    def cookie(self, visitor: Visitor, deps: Deps) -> str:
        """What a browser of `visitor` keeps."""
        if visitor.key:
            return session.begin(str(visitor.key.id), visitor.key.digest.hex(), self._now_s())
        token = deps.token.get_secret_value() if deps.token else ""
        return session.begin(session.TOKEN, token, self._now_s())

    async def _numbered(self, number: int, deps: Deps) -> Key | None:
        return await self._key(number, lambda: deps.keys.by_number(number))

    async def _key(self, place: bytes | int, ask: Callable[[], Awaitable[Key | None]]) -> Key | None:
        known, since_s = self._remembered.get(place, (None, float("-inf")))
        if self._steady_s() - since_s < KEPT_S:
            return known
        try:
            key = await ask()
        except Retryable:
            if known is None or self._steady_s() - since_s >= TRUSTED_S:
                raise
            return known  # while the database is away nobody is shut out who was let in a while before
        self._remembered.pop(place, None)
        self._remembered[place] = key, self._steady_s()
        while len(self._remembered) > MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return key

    async def _visitor(self, key: Key | None, deps: Deps) -> Visitor | None:
        if key is None or not key.opens(deps.clock.now_ms()):
            return None
        if self._steady_s() - self._noted_s.get(key.id, float("-inf")) >= NOTED_S:
            self._noted_s[key.id] = self._steady_s()
            try:
                await deps.keys.used(key.id, deps.clock.now_ms())
            except Retryable as error:  # a database that is full can still be read
                log.warning("That a key was used is not noted", key=key.id, reason=str(error))
        return Visitor(key.scope, key)


def shown(asked: HTTPConnection) -> str | None:
    """What the Authorization header shows, as Bearer or as Basic's password; None when it shows nothing."""
    scheme, _, value = asked.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return None
    try:
        return b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""
