"""Who asks, by what they show: WEB_TOKEN, a key, or the cookie of somebody who signed in with one of them."""

import time
from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.requests import HTTPConnection

from app.keys import Key, Scope, digest
from common.errors import Retryable
from web import session
from web.deps import Deps

#: So long it takes at most until a revoked key opens nothing any more.
KEPT_S = 10.0
#: Keys, right and wrong, that are remembered so long.
MOST_REMEMBERED = 1000


class Visitor(NamedTuple):
    """`key` is None for whoever has WEB_TOKEN, and may do everything."""

    scope: Scope
    key: Key | None = None


class Visitors:
    """Keys are looked up in the database and remembered for a moment, that there is none as well."""

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        self._remembered: dict[bytes | int, tuple[Key | None, float]] = {}

    async def showing(self, given: str, deps: Deps) -> Visitor | None:
        """Whose token or key `given` is; None where it is nobody's. Raises Retryable while nobody can tell."""
        if deps.token and session.same(given, deps.token.get_secret_value()):
            return Visitor(Scope.ADMIN)
        place = digest(given)
        return self._visitor(await self._key(place, lambda: deps.keys.by_digest(place), deps), deps)

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
        key = await self._key(number, lambda: deps.keys.by_number(number), deps)
        if key is None or not session.holds(cookie, key.digest.hex(), self._now_s()):
            return None
        return self._visitor(key, deps)

    def cookie(self, visitor: Visitor, deps: Deps) -> str:
        """What a browser of `visitor` keeps."""
        if visitor.key:
            return session.begin(str(visitor.key.id), visitor.key.digest.hex(), self._now_s())
        token = deps.token.get_secret_value() if deps.token else ""
        return session.begin(session.TOKEN, token, self._now_s())

    async def _key(self, place: bytes | int, ask: Callable[[], Awaitable[Key | None]], deps: Deps) -> Key | None:
        known, since_s = self._remembered.get(place, (None, float("-inf")))
        if self._now_s() - since_s < KEPT_S:
            return known
        try:
            key = await ask()
            if key:
                await deps.keys.used(key.id, deps.clock.now_ms())
        except Retryable:
            if known is None:
                raise
            return known  # while the database is away nobody is shut out who was let in before
        self._remembered.pop(place, None)
        self._remembered[place] = key, self._now_s()
        while len(self._remembered) > MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return key

    @staticmethod
    def _visitor(key: Key | None, deps: Deps) -> Visitor | None:
        return Visitor(key.scope, key) if key and key.opens(deps.clock.now_ms()) else None


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
