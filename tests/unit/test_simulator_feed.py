"""What each exchange's socket tells at a moment, given what it told before."""

import json
from decimal import Decimal

import pytest

from common.clock import Clock
from common.span import MINUTE_MS
from scripts.simulator import binance_ws, bitfinex_ws, bittrex_ws, bybit_ws, coinbase_ws, kraken_ws, okx_ws
from scripts.simulator.feed import EVERY_MS, Advance, Progress, Update
from scripts.simulator.listings import listings
from scripts.simulator.market import InventedMarket, Row, Symbol
from scripts.simulator.world import World, make_world

MINUTE = 28_000_000
START_MS = MINUTE * MINUTE_MS


def world_and(exchange: str, native: str) -> tuple[World, Symbol]:
    market = InventedMarket(listings())
    symbol = market.find(exchange, native)
    assert symbol is not None
    return make_world(market, Clock()), symbol


def final(world: World, symbol: Symbol, minute: int) -> Row:
    row = world.market.row(symbol, minute, 1 << 50)
    assert row is not None
    return row


def told(updates: list[Update]) -> list[tuple[Row, bool]]:
    return [(update.row, update.closed) for update in updates]


def test_binance_closes_a_minute_once_and_at_most_2_4_s_late() -> None:
    world, symbol = world_and("binance", "BTCUSDT")
    progress = Progress(MINUTE)
    binance_ws.advance(world, symbol, progress, START_MS + 30_000)
    end_ms = START_MS + MINUTE_MS
    closes = []
    for now_ms in range(end_ms - 2000, end_ms + 8000, 100):
        updates, _ = binance_ws.advance(world, symbol, progress, now_ms)
        closes += [(now_ms - end_ms, update.row) for update in updates if update.closed]
    ((late_ms, row),) = closes
    assert 0 <= late_ms <= 2500 and row == final(world, symbol, MINUTE)


@pytest.mark.parametrize(
    ("advance", "exchange", "native"),
    [
        (binance_ws.advance, "binance", "ETHUSDT"),
        (bitfinex_ws.advance, "bitfinex", "ETHUSD"),
        (bittrex_ws.advance, "bittrex", "ETH-BTC"),
        (bybit_ws.advance, "bybit", "ETHUSDT"),
        (okx_ws.advance, "okx", "ETH-USDT"),
        (coinbase_ws.advance, "coinbase", "ETH-USD"),
        (kraken_ws.advance, "kraken", "ETHUSD"),
    ],
)
def test_a_turn_that_comes_late_still_tells_every_finished_minute(
    advance: Advance, exchange: str, native: str
) -> None:
    world, symbol = world_and(exchange, native)
    progress = Progress(MINUTE)
    advance(world, symbol, progress, START_MS + 30_000)
    updates, next_ms = advance(world, symbol, progress, START_MS + 3 * MINUTE_MS + 5000)
    finals = [final(world, symbol, MINUTE + at) for at in range(3)]
    assert [row for row, _ in told(updates) if row in finals][:3] == finals
    assert 0 < next_ms - (START_MS + 3 * MINUTE_MS + 5000) <= EVERY_MS


@pytest.mark.parametrize(
    ("advance", "exchange", "native"),
    [
        (bitfinex_ws.advance, "bitfinex", "BTCUSD"),
        (coinbase_ws.advance, "coinbase", "BTC-USD"),
        (kraken_ws.advance, "kraken", "XBTUSD"),
    ],
)
def test_nothing_is_told_of_a_minute_without_trades(advance: Advance, exchange: str, native: str) -> None:
    world, symbol = world_and(exchange, native)
    world.market.quiet = lambda asked, minute: MINUTE if minute == MINUTE else None
    progress = Progress(MINUTE)
    assert advance(world, symbol, progress, START_MS + 59_999)[0] == []
    updates, _ = advance(world, symbol, progress, START_MS + 2 * MINUTE_MS)
    assert told(updates)[:1] == [(final(world, symbol, MINUTE + 1), False)]


def test_coinbase_tells_each_trade_once_whatever_the_turns() -> None:
    world, symbol = world_and("coinbase", "BTC-USD")
    progress, told = Progress(MINUTE), list[dict[str, str]]()
    for now_ms in range(START_MS, START_MS + 3 * MINUTE_MS, 17_000):
        updates, _ = coinbase_ws.advance(world, symbol, progress, now_ms)
        for update in updates:
            told += reversed(json.loads(coinbase_ws.encode(update))["trades"])
    numbers = [int(one["trade_id"]) for one in told]
    assert numbers == sorted(set(numbers))
    volumes = [
        sum(Decimal(one["size"]) for one in told if int(one["trade_id"]) // 16 == MINUTE + at) for at in range(2)
    ]
    assert [float(volume) for volume in volumes] == [final(world, symbol, MINUTE + at).volume for at in range(2)]


def test_what_a_silence_of_coinbase_holds_back_comes_after_it() -> None:
    world, symbol = world_and("coinbase", "BTC-USD")
    progress = Progress(MINUTE)
    world.faults.switch(b'{"exchange":"coinbase","kind":"silence"}')
    assert coinbase_ws.advance(world, symbol, progress, START_MS + 90_000)[0] == []
    world.faults.clear()
    first, _ = coinbase_ws.advance(world, symbol, progress, START_MS + 90_000)[0]
    assert len(first.trades) == final(world, symbol, MINUTE).trades


def test_bitfinex_repeats_the_minute_before_beside_the_running_one() -> None:
    world, symbol = world_and("bitfinex", "BTCUSD")
    progress = Progress(MINUTE)
    bitfinex_ws.advance(world, symbol, progress, START_MS + MINUTE_MS - 1)
    starts = []
    for now_ms in range(START_MS + MINUTE_MS, START_MS + 2 * MINUTE_MS, EVERY_MS):
        starts += [row.open_ms for row, _ in told(bitfinex_ws.advance(world, symbol, progress, now_ms)[0])]
    assert starts.count(START_MS) >= 2 and starts.count(START_MS + MINUTE_MS) >= 4
    assert starts != sorted(starts)


def test_bittrex_starts_a_minute_with_a_placeholder_at_the_previous_close() -> None:
    world, symbol = world_and("bittrex", "POWR-BTC")
    progress = Progress(MINUTE)
    bittrex_ws.advance(world, symbol, progress, START_MS + MINUTE_MS - 1)
    close = final(world, symbol, MINUTE).close
    placeholder = Row(START_MS + MINUTE_MS, close, close, close, close, 0.0, 0.0, 0, 0.0, 0.0)
    early, late = START_MS + MINUTE_MS + 299, START_MS + MINUTE_MS + 2301
    assert bittrex_ws.advance(world, symbol, progress, early)[0] == []
    assert (placeholder, False) in told(bittrex_ws.advance(world, symbol, progress, late)[0])


def test_a_close_that_is_told_wrongly_is_put_right_once() -> None:
    world, symbol = world_and("bitfinex", "BTCUSD")
    world.faults.switch(b'{"exchange":"bitfinex","kind":"late_correction","symbols":["BTC/USD"],"delay_s":20}')
    progress, end_ms = Progress(MINUTE), START_MS + MINUTE_MS
    true = final(world, symbol, MINUTE)
    rows = [row for row, _ in told(bitfinex_ws.advance(world, symbol, progress, end_ms)[0])]
    assert (rows[0].open_ms, rows[0].close, rows[0].volume) == (START_MS, true.open, round(true.volume / 2, 8))
    assert progress.before != true
    later = [told(bitfinex_ws.advance(world, symbol, progress, end_ms + ms)[0]) for ms in (19_999, 20_000, 20_001)]
    assert [(true, False) in updates[:1] for updates in later] == [False, True, False]
    assert progress.before == true


@pytest.mark.parametrize(
    ("exchange", "native", "advance"),
    [("binance", "BTCUSDT", binance_ws.advance), ("bittrex", "POWR-BTC", bittrex_ws.advance)],
)
def test_a_close_that_is_missing_is_never_told(exchange: str, native: str, advance: Advance) -> None:
    world, symbol = world_and(exchange, native)
    world.faults.switch(f'{{"exchange":"{exchange}","kind":"missing_close"}}'.encode())
    progress = Progress(MINUTE)
    assert told(advance(world, symbol, progress, START_MS + MINUTE_MS - 1)[0])
    rows = [row for row, _ in told(advance(world, symbol, progress, START_MS + MINUTE_MS + 5_000)[0])]
    assert [row.open_ms for row in rows] == [START_MS + MINUTE_MS]
