"""Which markets and which time the commands about completeness are asked about."""

from typing import Annotated

import typer

from app.jobs import asked
from app.stores.symbols import StoredSymbol
from app.wiring import Stores
from common.errors import BadInput
from fetchers import registry

ExchangeOption = Annotated[
    str, typer.Option(help="Which exchange, one of " + registry.choices() + "; without it all.")
]
SymbolsOption = Annotated[
    str | None, typer.Option(help="Such as BTC/USDT,ETH/USDT; without it all of which anybody wanted minutes.")
]
StartOption = Annotated[
    str | None, typer.Option(help=f"First minute, {asked.TIME_FORM} in UTC; without it the first of all.")
]
EndOption = Annotated[str | None, typer.Option(help="Minute after the last one, like --start; without it now.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON list for programs; times in UTC milliseconds.")]


async def choose(stores: Stores, exchange: str, symbols: str | None) -> dict[int, StoredSymbol]:
    """By symbol id, in order of exchange and name; BadInput where nothing has such a name."""
    name = registry.get(exchange.strip().lower()).name if exchange else None
    stored = await stores.symbols.load(name)
    if symbols is not None and name is None:
        raise BadInput("exchange", f"Say whose {symbols} is meant: --exchange, one of {registry.choices()}.")
    if symbols is not None:
        chosen = asked.named(symbols, stored)
    else:
        known = await stores.minutes.known([one.id for one in stored.values()])
        chosen = [one for one in stored.values() if one.id in known]
    return {one.id: one for one in sorted(chosen, key=lambda one: one.instrument.key)}
