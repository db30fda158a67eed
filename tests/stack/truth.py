"""What is stored against what the simulator says the market was, value by value."""

import json
import time
import urllib.parse
import urllib.request

from tests.stack.compose import Stack, expect, until

Row = list[float]
MARKETS = {"binance": ("BTC", "USDT"), "bitfinex": ("BTC", "USD"), "bittrex": ("ETH", "BTC")}
DAY_MS, MINUTE_MS = 86_400_000, 60_000


def truth(stack: Stack, exchange: str, pair: tuple[str, str], start_ms: int, end_ms: int) -> list[Row]:
    names = {"exchange": exchange, "base_id": pair[0], "quote_id": pair[1], "start": start_ms, "end": end_ms}
    url = f"http://127.0.0.1:{stack.ports['SIMULATOR_PORT']}/_sim/truth?{urllib.parse.urlencode(names)}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        return [[float(value) for value in row] for row in json.load(answer)]


def stored(stack: Stack, exchange: str, pair: tuple[str, str], start_ms: int, end_ms: int) -> list[Row]:
    said = stack.sql(
        "SELECT (extract(epoch FROM time) * 1000)::bigint, open, high, low, close, volume FROM ohlcvs"
        f" WHERE exchange = '{exchange}' AND base_id = '{pair[0]}' AND quote_id = '{pair[1]}'"
        f" AND time >= to_timestamp({start_ms} / 1000.0) AND time < to_timestamp({end_ms} / 1000.0) ORDER BY time"
    )
    return [[float(value) for value in line.split(",")] for line in said.splitlines()]


def the_day_is_true(stack: Stack, start_ms: int) -> str:
    """Every minute of the day of one market an exchange."""
    rows = 0
    for exchange, pair in MARKETS.items():
        wanted = truth(stack, exchange, pair, start_ms, start_ms + DAY_MS)
        found = stored(stack, exchange, pair, start_ms, start_ms + DAY_MS)
        expect(found == wanted, f"{exchange} {pair}: {_difference(found, wanted)}")
        rows += len(found)
    return f"{rows} candles"


def everything_becomes_true(stack: Stack, minutes: int, limit: float = 240) -> str:
    """The latest `minutes` of every market, but the last two, once healing had its time."""
    markets = [
        line.split(",")
        for line in stack.sql(
            "SELECT exchange, base_id, quote_id FROM symbol_exchange WHERE is_trading ORDER BY 1, 2, 3"
        ).splitlines()
    ]
    end_ms = (int(time.time() * 1000) // MINUTE_MS - 1) * MINUTE_MS
    start_ms = end_ms - minutes * MINUTE_MS
    wanted = {(e, b, q): truth(stack, e, (b, q), start_ms, end_ms) for e, b, q in markets}

    def wrong() -> list[str]:
        found = {market: stored(stack, market[0], market[1:], start_ms, end_ms) for market in wanted}
        return [
            f"{market}: {_difference(found[market], wanted[market])}"
            for market in wanted
            if found[market] != wanted[market]
        ]

    left: list[str] = ["not looked yet"]

    def true_now() -> bool:
        left[:] = wrong()
        return not left

    try:
        took = until(limit, "every candle equals the market", true_now)
    except Exception as error:
        raise type(error)(f"{error}; {len(left)} markets differ: {left[:3]}") from None
    return f"{sum(map(len, wanted.values()))} candles of {len(wanted)} markets after {took:.0f} s"


def _difference(found: list[Row], wanted: list[Row]) -> str:
    have, want = {row[0]: row for row in found}, {row[0]: row for row in wanted}
    missing, extra = sorted(want.keys() - have.keys()), sorted(have.keys() - want.keys())
    other = [(have[at], want[at]) for at in sorted(have.keys() & want.keys()) if have[at] != want[at]]
    counts = f"{len(missing)} missing {missing[:2]}, {len(extra)} too many {extra[:2]}"
    return f"{counts}, {len(other)} different {other[:1]}"
