"""`candlehouse webhooks …`: whom to tell by HTTP of what happens to the feeds."""

import secrets
from typing import Annotated
from urllib.parse import urlsplit

import typer

from app import wiring
from app.happening import Kind
from app.jobs.asked import time_text
from app.settings import Settings, load_settings
from app.stores.webhooks import Webhook, WebhookStore
from common.errors import BadInput
from scripts.commands import meant
from scripts.commands.table import aligned

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

_KINDS = ", ".join(Kind)
DEFAULT = "lost,healed,stale,refused,gap,outage"


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Where each event is posted, such as https://example.org/hook.")],
    kinds: Annotated[str, typer.Option(help=f"Of which kinds, separated by commas: {_KINDS}.")] = DEFAULT,
) -> None:
    """Have events from now on posted to an address; prints the secret that signs them, once."""
    settings = load_settings()
    if not _is_address(url):
        raise BadInput("url", f"{url!r} is no address: write https://host/path.", "https://host/path")
    chosen = [_kind(name.strip()) for name in kinds.split(",") if name.strip()]
    if not chosen:
        raise BadInput("kinds", f"--kinds names none; choose from {_KINDS}.", _KINDS)
    secret = secrets.token_hex(32)
    number = meant.run(_add(settings, url, secret, chosen))
    typer.echo(f"Webhook {number} is told of {', '.join(chosen)} from now on. Its secret, shown only here:")
    typer.echo(secret)


@app.command("list")
def list_() -> None:
    """Show the addresses that are told, and how that goes."""
    found = meant.run(_all(load_settings()))
    if not found:
        typer.echo("Nobody is told: candlehouse webhooks add URL.")
    rows = [(str(one.id), one.host, ",".join(one.kinds), _when(one.told_ms), _failure(one)) for one in found]
    if rows:
        for line in aligned(("number", "host", "kinds", "last told", "trouble"), rows, left=5):
            typer.echo(line)


@app.command()
def remove(number: Annotated[int, typer.Argument(help="As `webhooks list` shows it.")]) -> None:
    """Tell an address nothing any more."""
    if not meant.run(_remove(load_settings(), number)):
        raise BadInput("number", f"There is no webhook {number}; candlehouse webhooks list shows them.")
    typer.echo(f"Webhook {number} is told nothing any more.")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port that is none, half an IPv6 address
        return False


def _kind(name: str) -> Kind:
    if name not in list(Kind):
        raise BadInput("kinds", f"Unknown kind {name!r}; choose from {_KINDS}.", _KINDS)
    return Kind(name)


def _when(ms: int | None) -> str:
    return time_text(ms) if ms else "never"


def _failure(one: Webhook) -> str:
    return f"{_when(one.failed_ms)}: {one.failure}" if one.failure else ""


async def _add(settings: Settings, url: str, secret: str, kinds: list[Kind]) -> int:
    async with wiring.open_stores(settings, pool_size=1, role="webhooks") as stores:
        return await WebhookStore(stores.db).add(url, secret, kinds, wiring.clock(settings).now_ms())


async def _all(settings: Settings) -> list[Webhook]:
    async with wiring.open_stores(settings, pool_size=1, role="webhooks") as stores:
        return await WebhookStore(stores.db).all()


async def _remove(settings: Settings, number: int) -> bool:
    async with wiring.open_stores(settings, pool_size=1, role="webhooks") as stores:
        return await WebhookStore(stores.db).remove(number)
