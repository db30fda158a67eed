"""`candlehouse simulate`: play the exchanges on this machine."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from common.clock import Clock
from common.errors import BadInput

_MOST_SYMBOLS = 10_000


def simulate(
    port: Annotated[int, typer.Option(help="Where to listen; 0 picks a free port.")] = 9900,
    symbols: Annotated[int, typer.Option(help="Symbols in all; invented ones join the base set of about 60.")] = 0,
    recordings: Annotated[Path | None, typer.Option(help="Play this folder of recorded candles instead.")] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    clock_rate: Annotated[float, typer.Option(help="Seconds that pass in one real second.")] = 1,
    clock_anchor_ms: Annotated[int, typer.Option(help="The real moment since which they do.")] = 0,
    enforce_limits: Annotated[bool, typer.Option(help="Refuse what the real exchanges refuse.")] = False,
) -> None:
    """Serve the REST and WebSocket protocols of the exchanges for a known market."""
    clock = Clock(clock_rate, clock_anchor_ms)
    try:
        _check(port, symbols, clock)
        asyncio.run(_serve(host, port, symbols, recordings, clock, enforce_limits))
    except BadInput as wrong:
        typer.echo(wrong.sentence, err=True)
        raise typer.Exit(2) from wrong
    except KeyboardInterrupt:
        return


def _check(port: int, symbols: int, clock: Clock) -> None:
    if not 0 <= port <= 65535:
        raise BadInput("port", f"{port} is not a port; use 0 to 65535.", "0 to 65535")
    if not 0 <= symbols <= _MOST_SYMBOLS:
        raise BadInput("symbols", f"{symbols} symbols cannot be played; use up to {_MOST_SYMBOLS}.")
    if not 0 < clock.rate <= 1000:
        raise BadInput("clock_rate", f"The clock cannot run at {clock.rate}; use more than 0, up to 1000.")


async def _serve(
    host: str, port: int, symbols: int, recordings: Path | None, clock: Clock, enforce_limits: bool
) -> None:
    # Only here, so that other commands do not pay for it.
    from scripts.simulator.listings import EXCHANGES, listings
    from scripts.simulator.market import InventedMarket, Market
    from scripts.simulator.recordings import load_recordings
    from scripts.simulator.server import serve

    market: Market = load_recordings(recordings) if recordings else InventedMarket(listings(symbols))

    def ready(opened: int) -> None:
        typer.echo(f"The simulator serves http://{host}:{opened} ({', '.join(EXCHANGES)}; truth at /_sim/truth).")

    await serve(host, port, market, clock, enforce_limits=enforce_limits, ready=ready)
