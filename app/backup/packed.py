"""The file of a backup of a database with hypertables: a zip of pg_dump's archive and of rows as COPY tells them.

pg_dump sees no row of a hypertable. So `rest.dump` holds all but the rows of candles and bars, and `candles.copy`
and its like hold those: text, the columns' names in its first line, as `COPY … FROM … (HEADER MATCH)` takes it.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from app.backup.process import CHUNK
from common.errors import BadInput, Retryable

MAGIC = b"PK\x03\x04"
REST, ROWS = "rest.dump", ".copy"

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, KeyError)


class NewPack:
    """A zip that is being written to `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> "NewPack":
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        return self

    def __exit__(self, *_: object) -> None:
        with self._writing():
            self._zip.close()

    @contextmanager
    def rest(self) -> Iterator[IO[bytes]]:
        """For pg_dump's archive, which is compressed already."""
        with self._writing(), self._zip.open(zipfile.ZipInfo(REST), "w", force_zip64=True) as member:
            yield member

    @contextmanager
    def rows(self, table: str) -> Iterator[IO[bytes]]:
        """For what COPY tells of a table."""
        with self._writing(), self._zip.open(f"{table}{ROWS}", "w", force_zip64=True) as member:
            yield member

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (ConnectionError, TimeoutError):
            raise  # the server's
        except OSError as error:
            raise Retryable(
                f"{self._file} cannot be written, and no backup was: {error.strerror or error}."
            ) from error


def tables(file: Path) -> tuple[str, ...]:
    """Those whose rows the zip holds; BadInput where it is no backup or cut off."""
    try:
        with zipfile.ZipFile(file) as pack:
            names = pack.namelist()
    except _DAMAGE as error:
        raise BadInput("FILE", f"{file} is not a backup of Candlehouse, or is cut off: {error}.") from error
    if REST not in names:
        raise BadInput("FILE", f"{file} is not a backup: `candlehouse backup` writes other files.")
    return tuple(name.removesuffix(ROWS) for name in names if name.endswith(ROWS))


def unpack_rest(file: Path, folder: Path) -> Path:
    """pg_dump's archive, which pg_restore wants as a file of its own."""
    with damage_told(file), zipfile.ZipFile(file) as pack:
        return Path(pack.extract(REST, folder))


def rows(file: Path, table: str) -> Iterator[bytes]:
    """What COPY told of a table; BadInput where the file is damaged, at the latest behind the last of it."""
    with damage_told(file), zipfile.ZipFile(file) as pack, pack.open(f"{table}{ROWS}") as member:
        while chunk := member.read(CHUNK):
            yield chunk


@contextmanager
def damage_told(file: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise BadInput("FILE", f"{file} is damaged or cut off, and nothing was changed: {error}.") from error


async def copy(connection: Any, query: str, into: IO[bytes]) -> None:
    """Write what the query gives, as COPY tells it."""

    async def write(data: bytes) -> None:
        into.write(data)

    await connection.copy_from_query(query, output=write, format="text", header=True)
