"""Learn which markets an exchange has, keep the list current, and choose those that are streamed."""

import asyncio
from collections.abc import Iterable

import structlog

from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.errors import Malformed, Rejected, Retryable
from common.market import Instrument
from common.ports import Exchange
from common.symbols import matches
from fetchers.history import Get

#: In the Clock's time, before an exchange that cannot be asked is asked again.
AGAIN_S = 30
#: Real seconds that a stream waits for the list: while the rate limit keeps us waiting, stored markets will do.
LISTED_S = 20
#: To one list of markets: several times what the largest exchange takes.
MOST_ANSWERS = 100

log = structlog.get_logger(__name__)


async def ask(exchange: Exchange, *, get: Get) -> list[Instrument]:
    """The exchange's markets as it lists them now, never none."""
    listing = exchange.parse_instruments(await get(exchange.instruments_request()))
    answers = 1
    while listing.more is not None:
        if answers == MOST_ANSWERS:
            raise Malformed(f"the list of markets has no end after {answers} answers", exchange.name)
        listing = listing.more.parse(await get(listing.more.request))
        answers += 1
    for sentence in listing.skipped:
        log.warning("market skipped", exchange=exchange.name, reason=sentence)
    if not listing.instruments:
        # An empty list would mark every market as gone; no exchange does that from one minute to the next.
        raise Malformed("no markets listed", exchange.name)
    return listing.instruments


async def refresh(exchange: Exchange, *, get: Get, symbols: SymbolStore, clock: Clock) -> None:
    """Store what the exchange lists now. Absent markets stop being under trade."""
    listed = await ask(exchange, get=get)
    await symbols.upsert(exchange.name, listed, clock.now_ms())
    log.info("markets refreshed", exchange=exchange.name, markets=len(listed))


async def ensure_known(exchange: Exchange, *, get: Get, symbols: SymbolStore, clock: Clock) -> None:
    """Load the markets if none was ever stored."""
    if not await symbols.load(exchange.name):
        await refresh(exchange, get=get, symbols=symbols, clock=clock)


async def wait_for_markets(
    exchange: Exchange, *, get: Get, symbols: SymbolStore, clock: Clock
) -> list[Instrument]:
    """The markets as far as anybody knows: the exchange, or else the database; asked until one of them answers."""
    while True:
        listed = await _listed(exchange, get)
        try:
            if listed:
                await symbols.upsert(exchange.name, listed, clock.now_ms())
            if stored := await symbols.load(exchange.name):
                return [one.instrument for one in stored.values()]
        except Retryable as error:
            log.warning("markets neither stored nor read", exchange=exchange.name, reason=str(error))
            if listed:
                return listed
        await clock.sleep(AGAIN_S)


async def _listed(exchange: Exchange, get: Get) -> list[Instrument]:
    try:
        async with asyncio.timeout(LISTED_S):
            return await ask(exchange, get=get)
    except (Retryable, Rejected, Malformed, TimeoutError) as error:
        reason = str(error) or f"no answer, or no turn to ask, within {LISTED_S} s"
        log.warning("markets not listed", exchange=exchange.name, reason=reason)
        return []


def streamed(markets: Iterable[Instrument], patterns: str) -> list[Instrument]:
    """Those under trade that SYMBOLS selects."""
    return [one for one in markets if one.is_trading and matches(patterns, one)]
