"""The keys of the web, as they are stored: by their digests alone."""

from app.keys import Key, Scope, Wish
from app.stores.database import Database

_COLUMNS = "id, name, scope, per_minute, digest, created_at, expires_at, used_at, revoked_at"
#: How exactly it is noted when a key was used.
_NOTED_MS = 60_000


class KeyStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def add(self, wish: Wish, digest: bytes, now_ms: int) -> int:
        """Its number."""
        async with self._db.begin() as connection:
            number: int = await connection.fetchval(
                "INSERT INTO api_keys (name, scope, per_minute, digest, created_at, expires_at)"
                " VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
                wish.name,
                wish.scope.value,
                wish.per_minute,
                digest,
                now_ms,
                wish.expires_ms(now_ms),
            )
        return number

    async def all(self) -> list[Key]:
        async with self._db.connection() as connection:
            rows = await connection.fetch(f"SELECT {_COLUMNS} FROM api_keys ORDER BY id")
        return [_key(*row) for row in rows]

    async def revoke(self, number: int, now_ms: int) -> bool:
        """Whether there was one that was not revoked before."""
        async with self._db.begin() as connection:
            done: str = await connection.execute(
                "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", number, now_ms
            )
        return done != "UPDATE 0"

    async def by_digest(self, digest: bytes) -> Key | None:
        async with self._db.connection() as connection:
            row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM api_keys WHERE digest = $1", digest)
        return _key(*row) if row else None

    async def by_number(self, number: int) -> Key | None:
        async with self._db.connection() as connection:
            row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM api_keys WHERE id = $1", number)
        return _key(*row) if row else None

    async def used(self, number: int, now_ms: int) -> None:
        async with self._db.begin() as connection:
            await connection.execute(
                "UPDATE api_keys SET used_at = $2 WHERE id = $1 AND (used_at IS NULL OR used_at < $3)",
                number,
                now_ms,
                now_ms - _NOTED_MS,
            )


def _key(number: int, name: str, scope: str, *more: object) -> Key:
    return Key(number, name, Scope(scope), *more)  # type: ignore[arg-type]  # as the columns are
