"""What pg_restore lists of an archive: a line for each thing in it."""

import re
from collections.abc import Callable
from pathlib import Path

#: `3475; 0 16400 TABLE DATA public candles owner`, of which the kind and what follows the schema are told.
_ENTRY = re.compile(r"^\d+; \d+ \d+ ([A-Z][A-Z ]*[A-Z]) public (.+)$", re.MULTILINE)
_RELATIONS = re.compile(
    r"^(?:TABLE|VIEW|MATERIALIZED VIEW|FOREIGN TABLE|FUNCTION|PROCEDURE|AGGREGATE|TYPE|DOMAIN)$"
)
_ROWS = ("TABLE DATA", "SEQUENCE SET", "MATERIALIZED VIEW DATA")
#: Tables of ours whose rows say what the database is, not what it holds.
_OF_THE_PLACE = ("storage", "alembic_version")


def names(listing: str) -> frozenset[str]:
    """Of tables, views, functions and types."""
    found = [(kind, _name(kind, rest)) for kind, rest in _ENTRY.findall(listing)]
    return frozenset(name for kind, name in found if _RELATIONS.match(kind))


def beside_revisions(listing: str, is_ours: Callable[[str], bool]) -> str:
    """The lines of what a database has to get that revisions made: rows, and whatever is somebody else's."""
    kept = []
    for entry in _ENTRY.finditer(listing):
        kind, name = entry[1], _name(entry[1], entry[2])
        if name not in _OF_THE_PLACE if kind in _ROWS else not is_ours(name):
            kept.append(entry[0])
    return "".join(f"{line}\n" for line in kept)


def write(listing: str, folder: Path) -> Path:
    """A file for pg_restore's --use-list."""
    file = folder / "list"
    file.write_text(listing)
    return file


def _name(kind: str, rest: str) -> str:
    """`candles` of `candles owner`, `candles candles_pkey owner` and a comment's `COLUMN candles.time owner`."""
    words = rest.split()
    return re.split(r"[(.]", words[1] if kind == "COMMENT" else words[0])[0]
