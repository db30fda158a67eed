"""The fetches as people are shown them: those under way, and the last ones before."""

from typing import NamedTuple

from app.stores.database import Database
from app.stores.statements import sql
from common.span import Span


class Job(NamedTuple):
    """One request for history. Minutes are summed over its markets; `leased` and `errors` count pages.

    `note` is a sentence for people, often empty.
    """

    id: int
    exchange: str
    span: Span
    state: str
    created_ms: int
    minutes_total: int
    minutes_left: int
    rows_written: int
    requests: int
    leased: int
    errors: int
    note: str


async def newest(db: Database, limit: int) -> list[Job]:
    """Every one that is not over, and of the others the newest; the newest first."""
    async with db.connection() as connection:
        rows = await connection.fetch(sql("jobs_newest"), limit)
    return [Job(row[0], row[1], Span(row[2], row[3]), *row[4:]) for row in rows]
