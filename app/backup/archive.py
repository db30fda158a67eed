"""What a backup file holds, told by pg_restore before anything is done with it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.backup.process import output
from app.postgres_programs import places, version
from common.errors import BadInput

#: A file without these is somebody else's.
OURS = {"alembic_version", "symbol_exchange", "candles", "coverage"}

_ENTRY = re.compile(
    r"^\d+; \d+ \d+ (?:TABLE|VIEW|MATERIALIZED VIEW|FOREIGN TABLE|FUNCTION|PROCEDURE|AGGREGATE|TYPE|DOMAIN) "
    r"public ([^( ]+)",
    re.MULTILINE,
)
#: A table of one row as pg_restore writes it: the table's name, and the row's last column.
_ROW = re.compile(r"^COPY public\.(\w+) .*\n(?:.*\t)?(.+)\n\\\.$", re.MULTILINE)
_MAGIC = b"PGDMP"
_TOO_NEW = "unsupported version"


@dataclass(frozen=True, slots=True)
class Archive:
    """`names` are those of its tables, views and functions; `market` is None where it was never said."""

    file: Path
    pg_restore: Path
    names: frozenset[str]
    revision: str
    market: str | None


async def read(file: Path, server: int, environment: Mapping[str, str]) -> Archive:
    """Raise BadInput, saying what is wrong, for a file that is no backup; `server` is a major version."""
    must_be_archive(file)
    program, listing = await _list(file, server, environment)
    names = frozenset(_ENTRY.findall(listing))
    if missing := OURS - names:
        raise BadInput(
            "FILE", f"{file} is not a backup of Candlehouse: it does not hold {', '.join(sorted(missing))}."
        )
    rows = dict(_ROW.findall(await _rows(program, file, environment)))
    if "alembic_version" not in rows:
        raise BadInput("FILE", f"{file} is not a whole backup: it does not say which schema it has.")
    return Archive(file, program, names, rows["alembic_version"], rows.get("market_kind"))


def must_be_archive(file: Path) -> None:
    """Raise BadInput for what cannot be read or is plainly something else; cheap, and needs no program."""
    try:
        with file.open("rb") as opened:
            first = opened.read(len(_MAGIC))
    except OSError as error:
        raise BadInput("FILE", f"{file} cannot be read: {error.strerror}.") from error
    if first != _MAGIC:
        raise BadInput("FILE", f"{file} is not a backup: `candlehouse backup` writes other files.")


async def _list(file: Path, server: int, environment: Mapping[str, str]) -> tuple[Path, str]:
    """The first pg_restore that is new enough for the server and for the file, and what it lists."""
    refusals = []
    for program in places("pg_restore"):
        if version(program) < server:
            continue
        listing, refusal = await output(program, "--list", file, environment=environment)
        if listing is not None:
            return program, listing
        refusals.append(refusal)
    if not refusals:
        raise BadInput(
            "pg_restore", f"There is no pg_restore for PostgreSQL {server}: install postgresql-client-{server}."
        )
    if any(_TOO_NEW in refusal for refusal in refusals):
        sentence = f"{file} was written by a newer pg_dump than any pg_restore here can read ({refusals[-1]})"
        raise BadInput("FILE", f"{sentence}: install a newer postgresql-client.")
    raise BadInput("FILE", f"{file} is not a backup of Candlehouse, or is cut off: {refusals[-1]}.")


async def _rows(program: Path, file: Path, environment: Mapping[str, str]) -> str:
    """The two tables of one row that tell what the others are."""
    tables = ("--schema=public", "--table=alembic_version", "--table=market_kind")
    told, refusal = await output(program, "--data-only", *tables, "--file=-", file, environment=environment)
    if told is None:
        raise BadInput("FILE", f"{file} is damaged or cut off: {refusal}.")
    return told
