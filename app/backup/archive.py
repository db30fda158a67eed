"""What a backup file holds, told before anything is done with it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.backup import listing, packed
from app.backup.process import output
from app.postgres_programs import places, version
from common.errors import BadInput

#: A file without these is somebody else's.
OURS = {"alembic_version", "symbol_exchange", "candles", "coverage"}

#: A table of one row as pg_restore writes it: the table's name, and the row's last column.
_ROW = re.compile(r"^COPY public\.(\w+) .*\n(?:.*\t)?(.+)\n\\\.$", re.MULTILINE)
_MAGICS = (b"PGDMP", packed.MAGIC)
_TOO_NEW = "unsupported version"


@dataclass(frozen=True, slots=True)
class Archive:
    """A backup that can be read.

    `names` are those of its tables, views and functions; `market` is None where it was never said.
    `dump` is pg_dump's archive, which pg_restore lists as `listing`: of a plain database `file` itself and all of
    it; of a richer one without the rows of `tables`, which `file` holds beside it.
    """

    file: Path
    dump: Path
    pg_restore: Path
    listing: str
    tables: tuple[str, ...]
    names: frozenset[str]
    revision: str
    market: str | None


async def read(file: Path, server: int, environment: Mapping[str, str], folder: Path) -> Archive:
    """Raise BadInput, saying what is wrong, for a file that is no backup.

    `server` is a major version; `folder` takes what has to be unpacked, for as long as the archive is read.
    """
    is_packed = must_be_archive(file) == packed.MAGIC
    tables = packed.tables(file) if is_packed else ()
    dump = packed.unpack_rest(file, folder) if is_packed else file
    program, listed = await _list(file, dump, server, environment)
    names = listing.names(listed)
    if missing := OURS - names:
        raise BadInput(
            "FILE", f"{file} is not a backup of Candlehouse: it does not hold {', '.join(sorted(missing))}."
        )
    rows = dict(_ROW.findall(await _rows(program, file, dump, environment)))
    if "alembic_version" not in rows:
        raise BadInput("FILE", f"{file} is not a whole backup: it does not say which schema it has.")
    revision, market = rows["alembic_version"], rows.get("market_kind")
    return Archive(file, dump, program, listed, tables, names, revision, market)


def must_be_archive(file: Path) -> bytes:
    """How it begins; BadInput for what cannot be read or is plainly something else. Needs no program."""
    try:
        with file.open("rb") as opened:
            first = opened.read(max(map(len, _MAGICS)))
    except OSError as error:
        raise BadInput("FILE", f"{file} cannot be read: {error.strerror}.") from error
    for magic in _MAGICS:
        if first.startswith(magic):
            return magic
    raise BadInput("FILE", f"{file} is not a backup: `candlehouse backup` writes other files.")


async def _list(file: Path, dump: Path, server: int, environment: Mapping[str, str]) -> tuple[Path, str]:
    """The first pg_restore that is new enough for the server and for the file, and what it lists."""
    refusals = []
    for program in places("pg_restore"):
        if version(program) < server:
            continue
        listed, refusal = await output(program, "--list", dump, environment=environment)
        if listed is not None:
            return program, listed
        refusals.append(refusal)
    if not refusals:
        raise BadInput(
            "pg_restore", f"There is no pg_restore for PostgreSQL {server}: install postgresql-client-{server}."
        )
    if any(_TOO_NEW in refusal for refusal in refusals):
        sentence = f"{file} was written by a newer pg_dump than any pg_restore here can read ({refusals[-1]})"
        raise BadInput("FILE", f"{sentence}: install a newer postgresql-client.")
    raise BadInput("FILE", f"{file} is not a backup of Candlehouse, or is cut off: {refusals[-1]}.")


async def _rows(program: Path, file: Path, dump: Path, environment: Mapping[str, str]) -> str:
    """The two tables of one row that tell what the others are."""
    tables = ("--schema=public", "--table=alembic_version", "--table=market_kind")
    told, refusal = await output(program, "--data-only", *tables, "--file=-", dump, environment=environment)
    if told is None:
        raise BadInput("FILE", f"{file} is damaged or cut off: {refusal}.")
    return told
