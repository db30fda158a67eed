"""Which symbols the invented exchanges list, under each exchange's own spelling."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from scripts.simulator.market import Symbol

EXCHANGES = ("binance", "bitfinex", "bittrex", "bybit", "coinbase", "kraken", "okx")

#: Bitfinex's own currency codes (`/v2/conf/pub:map:currency:sym`), mixed case included.
BITFINEX_CODES = {
    "AAA": "TESTAAA",
    "ALG": "ALGO",
    "BBB": "TESTBBB",
    "DSH": "DASH",
    "IOT": "IOTA",
    "UDC": "USDC",
    "UST": "USDt",
}

#: Kraken's.
KRAKEN_CODES = {"XBT": "BTC", "XDG": "DOGE"}

#: Of 65536 minutes, how many have trades.
_BUSY, _CALM, _THIN = 65536, 52000, 18000

_USD = {"USD", "USDT", "USDC"}

#: base, quote, price, decimals of the price, minutes with trades, most trades a minute.
_Line = tuple[str, str, str, int, int, int]

_BINANCE: tuple[_Line, ...] = (
    ("BTC", "USDT", "61250", 2, _BUSY, 15),
    ("ETH", "USDT", "2480", 2, _BUSY, 15),
    ("BNB", "USDT", "580", 2, _BUSY, 12),
    ("SOL", "USDT", "148", 2, _BUSY, 12),
    ("XRP", "USDT", "0.5870", 4, _BUSY, 10),
    ("ADA", "USDT", "0.3562", 4, _BUSY, 9),
    ("DOGE", "USDT", "0.10871", 5, _BUSY, 9),
    ("SHIB", "USDT", "0.00001472", 8, _BUSY, 9),
    ("LTC", "USDT", "66.31", 2, _CALM, 6),
    ("DASH", "USDT", "24.11", 2, _THIN, 3),
    ("ETH", "BTC", "0.04051", 5, _BUSY, 9),
    ("LTC", "BTC", "0.001083", 6, _CALM, 5),
    ("XLM", "BTC", "0.00000155", 8, _THIN, 3),
)
_BITFINEX: tuple[_Line, ...] = (
    ("BTC", "USD", "61250", 1, _BUSY, 15),
    ("BTC", "USDT", "61250", 1, _BUSY, 15),
    ("ETH", "USD", "2480", 2, _BUSY, 12),
    ("ETH", "USDT", "2480", 2, _BUSY, 12),
    ("ETH", "BTC", "0.04051", 6, _CALM, 8),
    ("LTC", "USD", "66.31", 3, _CALM, 6),
    ("XRP", "USD", "0.5870", 5, _CALM, 6),
    ("SOL", "USD", "148", 3, _CALM, 6),
    ("IOTA", "USD", "0.13302", 5, _THIN, 4),
    ("DASH", "USD", "24.11", 3, _THIN, 3),
    ("DASH", "BTC", "0.00039364", 8, _THIN, 2),
    ("DUSK", "USD", "0.17642", 5, _THIN, 3),
    ("SHIB", "USD", "0.000014726", 10, _CALM, 5),
    ("SHIB", "BTC", "0.0000000002404", 13, _THIN, 3),
)
_BITTREX: tuple[_Line, ...] = (
    ("BTC", "USD", "61250", 3, _BUSY, 12),
    ("BTC", "USDT", "61250", 3, _BUSY, 12),
    ("ETH", "USD", "2480", 3, _BUSY, 10),
    ("ETH", "USDT", "2480", 3, _CALM, 10),
    ("ETH", "BTC", "0.04051", 8, _BUSY, 10),
    ("LTC", "BTC", "0.001083", 8, _CALM, 6),
    ("XRP", "BTC", "0.00000958", 8, _CALM, 6),
    ("XRP", "USDT", "0.5870", 8, _CALM, 6),
    ("ADA", "USDT", "0.3562", 8, _CALM, 6),
    ("DOGE", "USDT", "0.10871", 8, _CALM, 6),
    ("DASH", "BTC", "0.00039364", 8, _THIN, 3),
    ("POWR", "BTC", "0.00000281", 8, _THIN, 3),
)
_BYBIT: tuple[_Line, ...] = (
    ("BTC", "USDT", "61250", 1, _BUSY, 15),
    ("ETH", "USDT", "2480", 2, _BUSY, 12),
    ("SOL", "USDT", "148", 2, _BUSY, 10),
    ("XRP", "USDT", "0.5870", 4, _BUSY, 9),
    ("DOGE", "USDT", "0.10871", 5, _CALM, 7),
    ("ETH", "BTC", "0.04051", 6, _CALM, 6),
    ("SHIB", "USDT", "0.00001472", 8, _CALM, 6),
    ("DASH", "USDT", "24.11", 2, _THIN, 3),
)
_OKX: tuple[_Line, ...] = (
    ("BTC", "USDT", "61250", 1, _BUSY, 15),
    ("ETH", "USDT", "2480", 2, _BUSY, 12),
    ("SOL", "USDT", "148", 2, _BUSY, 10),
    ("XRP", "USDT", "0.5870", 4, _BUSY, 9),
    ("DOGE", "USDT", "0.10871", 5, _CALM, 7),
    ("ETH", "BTC", "0.04051", 5, _CALM, 6),
    ("SHIB", "USDT", "0.000014726", 9, _CALM, 6),
    ("DASH", "USDT", "24.11", 2, _THIN, 3),
)
_COINBASE: tuple[_Line, ...] = (
    ("BTC", "USD", "61250", 2, _BUSY, 15),
    ("BTC", "USDT", "61250", 2, _BUSY, 10),
    ("ETH", "USD", "2480", 2, _BUSY, 12),
    ("ETH", "USDT", "2480", 2, _BUSY, 8),
    ("ETH", "BTC", "0.04051", 5, _CALM, 8),
    ("SHIB", "USD", "0.00001473", 8, _CALM, 5),
    ("DASH", "USD", "24.11", 2, _THIN, 3),
)
_KRAKEN: tuple[_Line, ...] = (
    ("BTC", "USD", "61250", 1, _BUSY, 12),
    ("BTC", "USDT", "61250", 1, _BUSY, 10),
    ("ETH", "USD", "2480", 2, _BUSY, 12),
    ("ETH", "USDT", "2480", 2, _BUSY, 8),
    ("ETH", "BTC", "0.04051", 5, _CALM, 8),
    ("DOGE", "USD", "0.1087104", 7, _CALM, 6),
    ("DASH", "USD", "24.11", 3, _THIN, 3),
)
_LINES = {
    "binance": _BINANCE,
    "bitfinex": _BITFINEX,
    "bittrex": _BITTREX,
    "bybit": _BYBIT,
    "coinbase": _COINBASE,
    "kraken": _KRAKEN,
    "okx": _OKX,
}

#: Coins that came late, as their namesakes did; the others trade since 2010.
LISTED = {
    ("binance", "SOL"): "2020-08-11T06:00",
    ("binance", "SHIB"): "2021-05-10T11:00",
    ("bitfinex", "DUSK"): "2019-07-03T13:37",
    ("bittrex", "POWR"): "2017-11-01T20:15",
    ("bybit", "SHIB"): "2021-07-29T08:00",
    ("okx", "SHIB"): "2021-05-08T06:00",
    ("coinbase", "SHIB"): "2021-09-09T16:00",
}

#: What a program that lists markets must get past: a halted market, test pairs, a currency nobody heard of.
_ODD = (
    ("binance", ("LUNA", "USDT", "0.3412", 4, _THIN, 3), "HALT"),
    ("bitfinex", ("TESTBTC", "TESTUSD", "100", 1, _THIN, 3), "TRADING"),
    ("bitfinex", ("AAA", "BBB", "100", 1, _THIN, 3), "TRADING"),
    ("bitfinex", ("QQZ", "USD", "3.21", 3, _THIN, 3), "TRADING"),
    ("bittrex", ("RFOX", "USDT", "0.1", 8, _THIN, 3), "OFFLINE"),
    ("bybit", ("NEWT", "USDT", "0.2150", 4, _THIN, 3), "PreLaunch"),
    ("okx", ("LUNA", "USDT", "0.3412", 4, _THIN, 3), "suspend"),
    ("coinbase", ("REP", "USD", "8.71", 2, _THIN, 3), "delisted"),
    ("kraken", ("WAVES", "USD", "1.0873", 4, _THIN, 3), "cancel_only"),
)

#: A currency that Bitfinex lists a pair of without listing the currency.
UNKNOWN_CURRENCY = "QQZ"

#: Generated symbols are dealt to the exchanges like this, about as large as the real ones are to each other.
_DEAL = ("binance", "binance", "bitfinex", "binance", "bittrex", "binance")


def listings(total: int = 0, per_exchange: Mapping[str, int] | None = None) -> dict[str, list[Symbol]]:
    """The base set, with invented coins added until there are `total` symbols, or so many on each exchange."""
    listed = {name: [symbol(name, line) for line in lines] for name, lines in _LINES.items()}
    for name, line, status in _ODD:
        listed[name].append(symbol(name, line, status))
    made = 0
    while sum(map(len, listed.values())) < total:
        listed[_DEAL[made % len(_DEAL)]].append(_invented(_DEAL[made % len(_DEAL)], made))
        made += 1
    for name, count in (per_exchange or {}).items():
        while len(listed[name]) < count:
            listed[name].append(_invented(name, made))
            made += 1
    return listed


def minute_of(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) // 60


def symbol(exchange: str, line: _Line, status: str = "TRADING") -> Symbol:
    """One line of the lists above as the symbol that `exchange` lists."""
    base, quote, price, decimals, busy, most_trades = line
    native_base, native_quote = spelling(exchange, base), spelling(exchange, quote)
    worth = Decimal(price) * (1 if quote in _USD else 60_000 if quote == "BTC" else 1)
    amount_decimals = 8 if exchange != "binance" else max(0, min(5, 1 + worth.adjusted()))
    return Symbol(
        exchange,
        native_name(exchange, native_base, native_quote),
        base,
        quote,
        native_base,
        native_quote,
        price=int(Decimal(price).scaleb(decimals)),
        price_decimals=decimals,
        # A trade is worth up to 2,000 dollars.
        amount=max(1, int(Decimal(4000) / worth * 10**amount_decimals)),
        amount_decimals=amount_decimals,
        busy=busy,
        most_trades=most_trades,
        status=status,
        listed=minute_of(LISTED.get((exchange, base), "2010-01-01T00:00")),
    )


def spelling(exchange: str, currency: str) -> str:
    """The exchange's own code of a currency."""
    codes = {"bitfinex": BITFINEX_CODES, "kraken": KRAKEN_CODES}.get(exchange, {})
    return next((code for code, name in codes.items() if name.upper() == currency), currency)


def native_name(exchange: str, native_base: str, native_quote: str) -> str:
    """`BTCUSDT`, `DUSK:USD` or `ETH-BTC`."""
    if exchange in ("binance", "bybit", "kraken"):
        return native_base + native_quote
    if exchange in ("bittrex", "coinbase", "okx"):
        return f"{native_base}-{native_quote}"
    return f"{native_base}{'' if len(native_base) == len(native_quote) == 3 else ':'}{native_quote}"


def _invented(exchange: str, number: int) -> Symbol:
    letters = "".join(chr(65 + number // 26**place % 26) for place in (2, 1, 0))
    quote = ("USDT", "BTC")[number % 7 == 3] if exchange != "bitfinex" else ("USD", "USDT")[number % 3 == 0]
    busy = (_BUSY, _CALM, _THIN)[number % 3]
    if quote == "BTC":
        return symbol(exchange, (f"X{letters}", quote, f"0.0000{number % 900 + 100}", 8, busy, 4))
    return symbol(exchange, (f"X{letters}", quote, f"{number % 97 + 1}.{number % 9000 + 1000}", 4, busy, 5))
