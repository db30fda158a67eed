"""The page about SQL names every table and view that the schema makes, and nothing else."""

import re
from pathlib import Path

from app.stores.database import Database

PAGE = Path(__file__).parents[2] / "docs/reference/sql.md"
RELATIONS = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition
"""


async def test_every_table_and_view_is_described_and_nothing_else(database: Database) -> None:
    async with database.connection() as connection:
        made = {row["relname"] for row in await connection.fetch(RELATIONS)}
    firsts = re.findall(r"^\| (`[^|]+) \|", PAGE.read_text(), re.MULTILINE)
    assert {name for cell in firsts for name in re.findall(r"`(\w+)`", cell)} == made
