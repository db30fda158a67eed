"""Recorded messages of each exchange mean exactly the candles written beside them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.market import Candle, Instrument
from common.span import Span
from fetchers import registry

GOLDEN = Path(__file__).parents[1] / "golden"
ALWAYS = Span(0, 10**13)

BITFINEX_BTCUSD = Instrument("bitfinex", "BTC", "USD", "BTCUSD", "BTC", "USD")


def lines(candles: Iterable[Candle]) -> list[str]:
    return [
        f"{one.instrument.native} {datetime.fromtimestamp(one.open_ms / 1000, UTC):%Y-%m-%dT%H:%MZ} "
        f"{' '.join(map(repr, one[2:9]))} {one.source.name}"
        for one in candles
    ]


def expected(path: str) -> list[str]:
    return (GOLDEN / path).read_text().splitlines()


def test_a_recorded_bitfinex_page_newest_first_becomes_ascending_candles() -> None:
    body = (GOLDEN / "bitfinex/candles.json").read_bytes()
    candles = registry.get("bitfinex").parse_candles(body, BITFINEX_BTCUSD, ALWAYS)
    assert lines(candles) == expected("bitfinex/candles_expected.txt")


@pytest.mark.parametrize(
    ("exchange", "open_status"),
    [
        ("binance", "TRADING"),
        ("bittrex", "ONLINE"),
        ("bybit", "Trading"),
        ("coinbase", "online"),
        ("kraken", "online"),
        ("okx", "live"),
    ],
)
def test_recorded_markets_keep_their_names_tick_sizes_and_status(exchange: str, open_status: str) -> None:
    listing = registry.get(exchange).parse_instruments((GOLDEN / exchange / "instruments.json").read_bytes())
    told = [(one.native, one.symbol, "tick", repr(one.tick_size), one.is_trading) for one in listing.instruments]
    wanted = [line.split() for line in expected(f"{exchange}/instruments_expected.txt")]
    assert told == [(*words[:4], words[4] == open_status) for words in wanted]
    assert listing.skipped == []


def test_recorded_bitfinex_pairs_bear_the_names_of_the_field() -> None:
    listing = registry.get("bitfinex").parse_instruments((GOLDEN / "bitfinex/instruments.json").read_bytes())
    names = {one.native: one.symbol for one in listing.instruments}
    wanted = {
        "BTCUST": "BTC/USDT",
        "DSHBTC": "DASH/BTC",
        "IOTUSD": "IOTA/USD",
        "UDCUSD": "USDC/USD",
        "AAVE:UST": "AAVE/USDT",
        "ALGBTC": "ALGO/BTC",
        "AMPUSD": "AMPL/USD",
        "ATOBTC": "ATOM/BTC",
        "BCHABC:USD": "XEC/USD",
        "BCHN:USD": "BCH/USD",
        "DATUSD": "DATA/USD",
        "DOGUST": "MDOGE/USDT",
        "EUTEUR": "EURT/EUR",
        "UST:CNHT": "USDT/CNHT",
        "XAUT:UST": "XAUT/USDT",
        "BTCUSD": "BTC/USD",
    }
    assert {native: names[native] for native in wanted} == wanted
    assert (len(names), listing.skipped) == (290, [])
    assert not [native for native in names if "TEST" in native or native == "AAABBB"]
