"""`psql` and `redis-cli`: the servers' own clients, at the settings' servers; no command line holds a password."""

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn
from urllib.parse import unquote, urlsplit

import typer

from app import postgres_programs
from app.settings import given_environment, load_settings
from app.stores.database import open_database
from common.errors import BadInput

Arguments = Annotated[
    list[str] | None, typer.Argument(help="Everything goes to the client; its own help by `-- --help`.")
]

_NO_REDIS_CLI = (
    "Neither redis-cli nor valkey-cli is on the PATH: install one (package redis-tools or valkey-tools)."
)


def psql(arguments: Arguments = None) -> None:
    """Open the database; `candlehouse psql -c 'SELECT …'` asks one thing."""
    url, name = load_settings().database_url, "candlehouse psql"
    program = postgres_programs.find("psql", asyncio.run(_server_version(url)))
    _become(program, arguments or [], postgres_programs.environment(url, given_environment(), name))


def redis_cli(arguments: Arguments = None) -> None:
    """Open Redis; `candlehouse redis-cli HGETALL KEY` asks one thing."""
    found = shutil.which("redis-cli") or shutil.which("valkey-cli")
    if found is None:
        raise BadInput("redis-cli", _NO_REDIS_CLI)
    url = urlsplit(load_settings().redis_url)
    options = ["-h", url.hostname or "127.0.0.1", "-p", str(url.port or 6379), "-n", url.path.strip("/") or "0"]
    options += ["--user", unquote(url.username)] if url.username else []
    options += ["--tls"] if url.scheme == "rediss" else []
    secret = {"REDISCLI_AUTH": unquote(url.password)} if url.password else {}
    _become(Path(found), [*options, *(arguments or [])], given_environment() | secret)


async def _server_version(url: str) -> int:
    database = open_database(url, pool_size=1)
    try:
        async with database.connection() as connection:
            return int(connection.get_server_version().major)
    finally:
        await database.close()


def _become(program: Path, arguments: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Nothing of ours is left between the terminal and the client."""
    os.execve(program, [str(program), *arguments], environment)  # by its path, where psql looks for its own parts
