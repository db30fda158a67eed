"""Keys for the web: what one may do, and how it is kept so that nobody can read it back."""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

#: What every key begins with, so that one that lies about is recognised.
PREFIX = "ch_"
_BYTES = 32


class Scope(StrEnum):
    """Each may do what those before it may."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def allows(self, needed: "Scope") -> bool:
        order = list(Scope)
        return order.index(self) >= order.index(needed)


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


def new_key() -> str:
    """256 random bits, in characters that a header may hold."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def digest(key: str) -> bytes:
    """What is stored of a key. It has 256 random bits, so a slow hash would protect nothing more."""
    return sha256(key.encode(errors="replace")).digest()
