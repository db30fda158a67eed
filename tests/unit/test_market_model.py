"""The invented market is known beforehand: any minute, in any process."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from common.span import MINUTE_MS
from scripts.simulator.listings import EXCHANGES, listings
from scripts.simulator.market import FIRST_MINUTE, LAST_MINUTE, SERVES_QUIET, InventedMarket, Row, Symbol
from scripts.simulator.text import fixed8, javascript, plain

FOREVER_MS = 1 << 50
MARKET = InventedMarket(listings(200))
SYMBOLS = [symbol for exchange in EXCHANGES for symbol in MARKET.symbols(exchange)]

minutes = st.integers(FIRST_MINUTE, LAST_MINUTE)
symbols = st.sampled_from(SYMBOLS)


def named(exchange: str, native: str) -> Symbol:
    symbol = MARKET.find(exchange, native)
    assert symbol is not None
    return symbol


def final(symbol: Symbol, minute: int) -> Row | None:
    return MARKET.row(symbol, minute, FOREVER_MS)


def _ohlcv(symbol: Symbol, minute: int) -> tuple[float, ...]:
    row = final(symbol, minute)
    return () if row is None else row[:6]


def test_a_minute_has_the_same_candle_in_every_process_and_python() -> None:
    asked = [("binance", "BTCUSDT"), ("bitfinex", "SHIB:USD"), ("bitfinex", "IOTUSD"), ("bittrex", "ETH-BTC")]
    told = [[_ohlcv(named(*name), minute) for minute in (FIRST_MINUTE, 28_000_002, LAST_MINUTE)] for name in asked]
    assert told == PINNED


@given(symbols, minutes)
@settings(deadline=None)
def test_the_running_candle_is_the_beginning_of_the_final_one(symbol: Symbol, minute: int) -> None:
    start_ms = minute * MINUTE_MS
    seen = [MARKET.row(symbol, minute, start_ms + second * 1000) for second in range(60)] + [final(symbol, minute)]
    running = [row for row in seen if row is not None and row.trades]
    for before, after in pairwise(running):
        assert (after.open_ms, after.open) == (before.open_ms, before.open)
        assert after.low <= before.low <= before.high <= after.high
        assert after.volume >= before.volume and after.trades >= before.trades
        assert after == before or after.trades > before.trades
    if running:
        assert running[-1] == final(symbol, minute)


@given(symbols, minutes)
@settings(deadline=None)
def test_a_candle_is_possible_and_its_text_reads_back_exactly(symbol: Symbol, minute: int) -> None:
    row = final(symbol, minute)
    if row is None:
        assert symbol.exchange not in SERVES_QUIET or minute < symbol.listed
        return
    assert 0 < row.low <= min(row.open, row.close) <= max(row.open, row.close) <= row.high
    assert (row.volume > 0) == (row.trades > 0)
    # Bitfinex does not serve the taker's part, and its volume has binary noise.
    assert 0 <= row.taker_volume <= row.volume or symbol.exchange == "bitfinex"
    for number in row[1:7]:
        assert float(fixed8(number)) == float(javascript(number)) == float(plain(number)) == number
        assert "e" not in fixed8(number) + plain(number)


@given(st.floats(0, 1e14, allow_nan=False))
def test_any_number_reads_back_exactly(number: float) -> None:
    assert float(fixed8(number)) == float(javascript(number)) == float(plain(number)) == number


def test_numbers_look_as_the_exchanges_print_them() -> None:
    assert [fixed8(n) for n in (0.00000812, 61250.0, 2.404e-10)] == [
        "0.00000812",
        "61250.00000000",
        "0.0000000002404",
    ]
    told = [javascript(n) for n in (10338.0, 3.3434853999999996, 8.12e-06, 2.404e-10, 1e-7)]
    assert told == ["10338", "3.3434853999999996", "0.00000812", "2.404e-10", "1e-7"]
    assert [plain(n) for n in (65140.5, 0.0, 10.0, 8.12e-06)] == ["65140.5", "0", "10", "0.00000812"]


def test_minutes_without_trades_are_flat_where_the_exchange_serves_them_and_absent_where_not() -> None:
    names = [("binance", "XLMBTC"), ("bittrex", "POWR-BTC"), ("bitfinex", "IOTUSD"), ("bybit", "DASHUSDT")]
    names += [("coinbase", "DASH-USD"), ("kraken", "DASHUSD"), ("okx", "DASH-USDT")]
    thin = {name: named(*name) for name in names}
    for (exchange, _), symbol in thin.items():
        told = [final(symbol, minute) for minute in range(28_000_000, 28_000_500)]
        quiet = [at for at, row in enumerate(told) if row is None or not row.trades]
        assert 250 < len(quiet) < 450
        if exchange not in SERVES_QUIET:
            assert all(told[at] is None for at in quiet)
            continue
        for at in quiet[1:]:
            before, row = told[at - 1], told[at]
            assert before is not None and row is not None
            assert row[1:] == (before.close, before.close, before.close, before.close, 0.0, 0.0, 0, 0.0, 0.0)


def test_trade_that_is_switched_off_leaves_the_last_close_before_it() -> None:
    market = InventedMarket(listings())
    symbol, first = named("binance", "BTCUSDT"), 28_000_000
    before = final(symbol, first - 1)
    assert before is not None
    market.quiet = lambda asked, minute: first if first <= minute < first + 3 else None
    told = [market.row(symbol, minute, FOREVER_MS) for minute in range(first - 1, first + 4)]
    flat = (*[before.close] * 4, 0.0, 0.0, 0, 0.0, 0.0)
    expected = [before, *(Row((first + at) * MINUTE_MS, *flat) for at in range(3)), final(symbol, first + 3)]
    assert told == expected


def test_nothing_is_known_of_the_future_nor_outside_the_markets_life() -> None:
    symbol = named("binance", "BTCUSDT")
    assert MARKET.row(symbol, 28_000_000, 28_000_000 * MINUTE_MS - 1) is None
    assert final(symbol, FIRST_MINUTE - 1) is None and final(symbol, LAST_MINUTE + 1) is None


def test_any_number_of_symbols_can_be_listed_without_a_name_twice() -> None:
    listed = listings(2500)
    names = {(symbol.exchange, symbol.native) for of in listed.values() for symbol in of}
    pairs = {(symbol.exchange, symbol.base, symbol.quote) for of in listed.values() for symbol in of}
    assert len(names) == len(pairs) == sum(map(len, listed.values())) == 2500
    assert len(listings(per_exchange={"binance": 2500})["binance"]) == 2500


PINNED: list[list[tuple[float, ...]]] = [
    [
        (1262304000000, 75676.17, 75717.06, 75665.78, 75665.78, 0.435),
        (1680000120000, 49978.45, 49997.74, 49954.97, 49986.47, 0.43342),
        (2082758340000, 54775.31, 54801.88, 54761.87, 54801.88, 0.32707),
    ],
    [
        (1262304000000, 1.03242e-05, 1.03242e-05, 1.03169e-05, 1.03169e-05, 979001279.5332899),
        (1680000120000, 1.18692e-05, 1.18692e-05, 1.18637e-05, 1.18679e-05, 370861055.02106714),
        (),
    ],
    [
        (),
        (1680000120000, 0.08886, 0.08894, 0.08886, 0.08892, 39153.342102919996),
        (),
    ],
    [
        (1262304000000, 0.04948257, 0.04948257, 0.04943636, 0.0494528, 11.00354105),
        (1680000120000, 0.04256104, 0.04256104, 0.0425412, 0.042552, 15.70131891),
        (2082758340000, 0.03571236, 0.03572416, 0.03569514, 0.03569514, 12.63456818),
    ],
]
