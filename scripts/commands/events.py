"""`candlehouse events`: what happened to the feeds."""

from typing import Annotated

import msgspec
import typer

from app import wiring
from app.happening import Happening, Kind
from app.jobs.asked import time_text
from app.settings import Settings, load_settings
from app.stores.events import EventStore
from common.errors import BadInput
from scripts.commands import meant
from scripts.commands.table import aligned

MOST = 1000
_KINDS = ", ".join(Kind)


def events(
    exchange: meant.ExchangeOption = "",
    kind: Annotated[str, typer.Option(help=f"One of {_KINDS}.")] = "",
    limit: Annotated[int, typer.Option(help=f"How many, up to {MOST}.")] = 50,
    json: meant.JsonOption = False,
) -> None:
    """Show what happened to the feeds, the newest last."""
    settings = load_settings()
    if kind and kind not in list(Kind):
        raise BadInput("kind", f"Unknown kind {kind!r}; use one of {_KINDS}.", _KINDS)
    if not 1 <= limit <= MOST:
        raise BadInput("limit", f"--limit must be from 1 to {MOST}, and is {limit}.")
    name = meant.one_exchange(exchange) if exchange else None
    found = meant.run(_read(settings, limit, name, Kind(kind) if kind else None))[::-1]
    if json:
        return typer.echo(msgspec.json.encode(found).decode())
    if not found:
        return typer.echo("Nothing of this has happened.")
    rows = [(time_text(one.at), one.exchange, one.kind.value, one.market, _words(one)) for one in found]
    for line in aligned(("time", "exchange", "kind", "market", "what"), rows, left=5):
        typer.echo(line)


async def _read(settings: Settings, limit: int, exchange: str | None, kind: Kind | None) -> list[Happening]:
    async with wiring.open_stores(settings, pool_size=1, role="events") as stores:
        return await EventStore(stores.db).newest(limit, exchange, kind)


def _words(one: Happening) -> str:
    figures = ", ".join(f"{name} {_figure(name, value)}" for name, value in one.facts.items() if value)
    return "; ".join(filter(None, (one.detail, figures)))


def _figure(name: str, value: int) -> str:
    return time_text(value) if name in ("since_ms", "start_ms", "end_ms") else f"{value:,}"
