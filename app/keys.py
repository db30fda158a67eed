"""Keys for the web: what one may do, and how it is kept so that nobody can read it back."""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from common.errors import BadInput
from common.span import DAY_MS

#: What every key begins with, so that one that lies about is recognised.
PREFIX = "ch_"
_BYTES = 32
LONGEST_NAME, MOST_PER_MINUTE, MOST_DAYS = 60, 1_000_000, 36_500
PER_MINUTE = 600


class Scope(StrEnum):
    """Each may do what those before it may."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def allows(self, needed: "Scope") -> bool:
        order = list(Scope)
        return order.index(self) >= order.index(needed)


SCOPES = ", ".join(Scope)


@dataclass(frozen=True, slots=True)
class Key:
    """`per_minute` are requests that one web process answers. Moments are UTC milliseconds."""

    id: int
    name: str
    scope: Scope
    per_minute: int
    digest: bytes
    created_ms: int
    expires_ms: int | None
    used_ms: int | None
    revoked_ms: int | None

    def opens(self, now_ms: int) -> bool:
        return self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)


@dataclass(frozen=True, slots=True)
class Wish:
    """A key that somebody wants made. `days` is how long it opens anything; 0 until it is revoked."""

    name: str
    scope: Scope
    per_minute: int
    days: int

    def expires_ms(self, now_ms: int) -> int | None:
        return now_ms + self.days * DAY_MS if self.days else None


def wish(name: str, scope: str, per_minute: int, days: int) -> Wish:
    """Raises BadInput for what no key can be."""
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise BadInput("name", f"A key's name has 1 to {LONGEST_NAME} letters.", f"1 to {LONGEST_NAME} letters")
    if scope not in list(Scope):
        raise BadInput("scope", f"Unknown scope {scope!r}; use one of {SCOPES}.", SCOPES)
    if not 0 < per_minute <= MOST_PER_MINUTE:
        allowed = f"1 to {MOST_PER_MINUTE}"
        raise BadInput("per_minute", f"A key may make {allowed} requests a minute, not {per_minute}.", allowed)
    if not 0 <= days <= MOST_DAYS:
        allowed = f"0 to {MOST_DAYS}"
        raise BadInput("days", f"A key lasts {allowed} days, not {days}.", allowed)
    return Wish(name, Scope(scope), per_minute, days)


def new_key() -> str:
    """256 random bits, in characters that a header may hold."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def digest(key: str) -> bytes:
    """What is stored of a key. It has 256 random bits, so a slow hash would protect nothing more."""
    return sha256(key.encode(errors="replace")).digest()
