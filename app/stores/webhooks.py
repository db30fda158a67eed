"""Whom to tell by HTTP of what happens to the feeds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from app.happening import Kind
from app.stores.database import Database


@dataclass(frozen=True, slots=True)
class Webhook:
    """`told_ms` is when it last took a message, `failed_ms` when it last did not, and why."""

    id: int
    url: str = field(repr=False)
    secret: str = field(repr=False)
    kinds: tuple[Kind, ...]
    told_ms: int | None
    failed_ms: int | None
    failure: str

    @property
    def host(self) -> str:
        """The address may hold a token, so logs name its host alone."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


class WebhookStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def all(self) -> list[Webhook]:
        async with self._db.connection() as connection:
            rows = await connection.fetch(
                "SELECT id, url, secret, kinds, told_at, failed_at, failure FROM webhooks ORDER BY id"
            )
        return [
            Webhook(number, url, secret, _known(kinds), told_ms, failed_ms, failure)
            for number, url, secret, kinds, told_ms, failed_ms, failure in rows
        ]

    async def add(self, url: str, secret: str, kinds: Sequence[Kind], now_ms: int) -> int:
        """Its number."""
        async with self._db.begin() as connection:
            number: int = await connection.fetchval(
                "INSERT INTO webhooks (url, secret, kinds, created_at) VALUES ($1, $2, $3, $4) RETURNING id",
                url,
                secret,
                [kind.value for kind in kinds],
                now_ms,
            )
        return number

    async def remove(self, number: int) -> bool:
        """Whether there was one."""
        async with self._db.begin() as connection:
            done: str = await connection.execute("DELETE FROM webhooks WHERE id = $1", number)
        return done != "DELETE 0"

    async def took(self, number: int, now_ms: int) -> None:
        async with self._db.begin() as connection:
            await connection.execute(
                "UPDATE webhooks SET told_at = $2, failure = '' WHERE id = $1", number, now_ms
            )

    async def failed(self, number: int, now_ms: int, failure: str) -> None:
        async with self._db.begin() as connection:
            await connection.execute(
                "UPDATE webhooks SET failed_at = $2, failure = $3 WHERE id = $1", number, now_ms, failure
            )


def _known(kinds: Sequence[str]) -> tuple[Kind, ...]:
    """Somebody may have written others into the table."""
    return tuple(Kind(kind) for kind in kinds if kind in list(Kind))
