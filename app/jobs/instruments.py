"""Learn which markets an exchange has, and keep the list current."""

import structlog

from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.errors import Malformed, Retryable
from common.ports import Exchange
from fetchers.history import Get

log = structlog.get_logger(__name__)


async def refresh(exchange: Exchange, *, get: Get, symbols: SymbolStore, clock: Clock) -> int:
    """Ask for the exchange's markets and store them; how many there are. Absent ones stop being under trade."""
    listing = exchange.parse_instruments(await get(exchange.instruments_request()))
    for sentence in listing.skipped:
        log.warning("market skipped", exchange=exchange.name, reason=sentence)
    if not listing.instruments:
        # An empty list would mark every market as gone; no exchange does that from one minute to the next.
        raise Malformed("no markets listed", exchange.name)
    await symbols.upsert(exchange.name, listing.instruments, clock.now_ms())
    log.info("markets refreshed", exchange=exchange.name, markets=len(listing.instruments))
    return len(listing.instruments)


async def ensure_known(exchange: Exchange, *, get: Get, symbols: SymbolStore, clock: Clock) -> None:
    """Load the markets if none was ever stored."""
    if not await symbols.load(exchange.name):
        await refresh(exchange, get=get, symbols=symbols, clock=clock)


async def refresh_until_known(
    exchange: Exchange, *, get: Get, symbols: SymbolStore, clock: Clock, pause_s: float = 30
) -> None:
    """Refresh once; while the exchange cannot be asked, stored markets do, and without any it is asked again."""
    while True:
        try:
            await refresh(exchange, get=get, symbols=symbols, clock=clock)
            return
        except (Retryable, Malformed) as error:
            if await symbols.load(exchange.name):
                log.warning(
                    "markets not refreshed", exchange=exchange.name, reason=str(error), using="stored ones"
                )
                return
            log.warning("no markets known", exchange=exchange.name, reason=str(error), again_in_s=pause_s)
        await clock.sleep(pause_s)
