"""The adapters that are held to the contract, and what each of them brings along in `tests/golden/{name}`.

instruments.json  the listing, as the exchange serves it; instruments_more.json what else it takes
handshake.json    the answer that says where to connect, where that has to be asked
frames.jsonl      frames of its socket; the last one may end a subscription or the connection
expected.txt      the candles that they tell (tests/golden/README.md)
page.template     a page of one candle, with $open_ms, $open_s, $open_iso, $close_ms, $open, $high, $low, $close
                  and $volume in place of its values
empty.json        a page without any
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from string import Template
from types import ModuleType

import pytest

from common.market import Instrument
from common.ports import Exchange, Session
from common.span import MINUTE_MS, Span
from fetchers import registry

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden"
NOW_MS = 1_700_000_000_000 // MINUTE_MS * MINUTE_MS
#: Ten minutes around what the bodies here tell of, because some exchanges serve no more than their newest hours.
NEAR = Span(NOW_MS - 10 * MINUTE_MS, NOW_MS + 10 * MINUTE_MS)


def _example() -> Exchange:
    """The adapter that docs/howto/add-an-exchange.md writes step by step."""
    page = (ROOT / "docs/howto/add-an-exchange.md").read_text()
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    module = ModuleType("example")
    exec(compile(source, "add-an-exchange.md", "exec"), module.__dict__)
    exchange: Exchange = module.__dict__["EXCHANGE"]
    return exchange


EXCHANGES = [*map(registry.get, [*registry.names(), "ccxt:kucoin"]), _example()]
every_exchange = pytest.mark.parametrize("exchange", EXCHANGES, ids=[one.name for one in EXCHANGES])


def golden(exchange: Exchange, name: str) -> bytes:
    return (GOLDEN / exchange.name / name).read_bytes()


def frames(exchange: Exchange) -> list[str]:
    return golden(exchange, "frames.jsonl").decode().splitlines()


@cache
def markets(exchange: Exchange) -> list[Instrument]:
    listing = exchange.parse_instruments(golden(exchange, "instruments.json"))
    while listing.more is not None:
        listing = listing.more.parse(golden(exchange, "instruments_more.json"))
    return listing.instruments


def opened(exchange: Exchange, instruments: Sequence[Instrument]) -> Session:
    """A session that was told where to connect, if it had to ask for that."""
    session = exchange.session(instruments)
    if (GOLDEN / exchange.name / "handshake.json").exists():
        session.url(exchange.ws_url, golden(exchange, "handshake.json"))
    return session


def page_body(exchange: Exchange, values: list[str], open_ms: int = NOW_MS) -> bytes:
    """One minute as the exchange serves it; `values` are the texts of open, high, low, close, volume."""
    named = dict(zip(("open", "high", "low", "close", "volume"), values, strict=True))
    iso = datetime.fromtimestamp(open_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    times = {"open_ms": open_ms, "open_s": open_ms // 1000, "open_iso": iso, "close_ms": open_ms + MINUTE_MS - 1}
    return Template(golden(exchange, "page.template").decode()).substitute(named | times).encode()


def empty_page(exchange: Exchange) -> bytes:
    return golden(exchange, "empty.json")
