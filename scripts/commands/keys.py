"""`candlehouse keys …`: who may use the web with a key of its own."""

from typing import Annotated

import typer

from app import keys as made
from app import wiring
from app.jobs.asked import time_text
from app.keys import Key, Scope, Wish
from app.settings import Settings, load_settings
from app.stores.keys import KeyStore
from common.errors import BadInput
from scripts.commands import meant
from scripts.commands.table import aligned

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Whose it is, such as 'backtests'.")],
    scope: Annotated[str, typer.Option(help=f"What it may do: {made.SCOPES}.")] = Scope.READ,
    per_minute: Annotated[int, typer.Option(help="Requests a minute.")] = made.PER_MINUTE,
    days: Annotated[int, typer.Option(help="It opens nothing after so many; 0: until it is revoked.")] = 0,
) -> None:
    """Make a key; prints it once, for only its digest is kept."""
    wished = made.wish(name, scope, per_minute, days)
    key = made.new_key()
    number = meant.run(_add(load_settings(), wished, key))
    typer.echo(f"Key {number} may {scope}. It is shown only here:")
    typer.echo(key)


@app.command("list")
def list_() -> None:
    """Show the keys: whose they are, what they may do, when they were used."""
    settings = load_settings()
    found, now_ms = meant.run(_all(settings)), wiring.clock(settings).now_ms()
    if not found:
        typer.echo("There is no key: candlehouse keys add NAME.")
    rows = [
        (str(one.id), one.name, one.scope.value, str(one.per_minute), _when(one.used_ms), _state(one, now_ms))
        for one in found
    ]
    if rows:
        for line in aligned(("number", "name", "scope", "a minute", "last used", "state"), rows, left=6):
            typer.echo(line)


@app.command()
def revoke(number: Annotated[int, typer.Argument(help="As `keys list` shows it.")]) -> None:
    """Have a key open nothing any more, within ten seconds."""
    if not meant.run(_revoke(load_settings(), number)):
        raise BadInput("number", f"There is no key {number} to revoke; candlehouse keys list shows them.")
    typer.echo(f"Key {number} opens nothing any more.")


def _when(ms: int | None) -> str:
    return time_text(ms) if ms else "never"


def _state(one: Key, now_ms: int) -> str:
    if one.revoked_ms is not None:
        return f"revoked {_when(one.revoked_ms)}"
    if one.expires_ms is None:
        return "open"
    return f"{'open until' if one.opens(now_ms) else 'ended'} {_when(one.expires_ms)}"


async def _add(settings: Settings, wished: Wish, key: str) -> int:
    async with wiring.open_stores(settings, pool_size=1, role="keys") as stores:
        return await KeyStore(stores.db).add(wished, made.digest(key), wiring.clock(settings).now_ms())


async def _all(settings: Settings) -> list[Key]:
    async with wiring.open_stores(settings, pool_size=1, role="keys") as stores:
        return await KeyStore(stores.db).all()


async def _revoke(settings: Settings, number: int) -> bool:
    async with wiring.open_stores(settings, pool_size=1, role="keys") as stores:
        return await KeyStore(stores.db).revoke(number, wiring.clock(settings).now_ms())
