"""Which column of a table is what: by the names that ccxt, Binance, TradingView, pandas and freqtrade write."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from common.errors import BadInput

#: What a candle is made of; the last two may be absent.
FIELDS = ("time", "open", "high", "low", "close", "volume", "quote_volume", "trades")
_OPTIONAL = ("quote_volume", "trades")

_NAMES: Mapping[str, str] = {
    "time": "time timestamp date datetime open_time opentime ts unix unix_timestamp start startsat mts t",
    "open": "open o open_price",
    "high": "high h high_price max",
    "low": "low l low_price min",
    "close": "close c close_price",
    "volume": "volume vol v base_volume volume_base",
    "quote_volume": "quote_volume quote_asset_volume volume_quote quotevolume qv turnover",
    "trades": "trades count number_of_trades trade_count tradecount num_trades n",
}
#: An index that pandas wrote without a name is the time where nothing else is.
_INDEX = ("", "unnamed_0", "index_level_0", "index")
#: Without names: ccxt's six columns, or Binance's twelve.
_CCXT, _BINANCE = (0, 1, 2, 3, 4, 5, None, None), (0, 1, 2, 3, 4, 5, 7, 8)


class Columns(NamedTuple):
    """The place of each field in a row; `names` says in words which column became what."""

    places: tuple[int | None, ...]
    names: str


def without_names(width: int) -> Columns:
    """The columns of a table whose first row is a candle already."""
    if width == 6:
        return Columns(_CCXT, "columns without names, in ccxt's order")
    if width in (11, 12):
        return Columns(_BINANCE, "columns without names, in Binance's order")
    known = "neither ccxt's 6 nor Binance's 12"
    sentence = f"Its {width} columns have no names, and are {known}: write names in the first line."
    raise BadInput("columns", sentence)


def by_names(header: Sequence[str], told: Mapping[str, str], base: str, quote: str) -> Columns:
    """The columns of a table with these names; `told` are FIELDS that a person named. BadInput when one lacks."""
    plain = [_plain(name) for name in header]
    places = tuple(_place(field, header, plain, told, base, quote) for field in FIELDS)
    lacking = [
        field for field, place in zip(FIELDS, places, strict=True) if place is None and field not in _OPTIONAL
    ]
    if lacking:
        seen, first = ", ".join(header), lacking[0]
        sentence = (
            f"No column is known to be {', '.join(lacking)}; there are {seen}. Say which: --column {first}=NAME."
        )
        raise BadInput("column", sentence)
    pairs = [(field, header[place]) for field, place in zip(FIELDS, places, strict=True) if place is not None]
    return Columns(places, ", ".join(f"{field} from {name or 'the index'}" for field, name in pairs))


def _place(
    field: str, header: Sequence[str], plain: list[str], told: Mapping[str, str], base: str, quote: str
) -> int | None:
    if field in told:
        if told[field] not in header:
            raise BadInput("column", f"There is no column {told[field]!r}; there are {', '.join(header)}.")
        return list(header).index(told[field])
    names = _NAMES[field].split()
    # CryptoDataDownload names both volumes by currency: `Volume BTC`, `Volume USDT`.
    names += {"volume": [f"volume_{base.lower()}"], "quote_volume": [f"volume_{quote.lower()}"]}.get(field, [])
    names += _INDEX if field == "time" else ()
    return next((plain.index(name) for name in names if name in plain), None)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def parse_told(pairs: Sequence[str]) -> dict[str, str]:
    """`["open=Open Price"]`. Raises BadInput for another form or an unknown field."""
    told = {}
    for pair in pairs:
        field, equals, name = pair.partition("=")
        if not equals or field not in FIELDS:
            allowed = ", ".join(FIELDS)
            raise BadInput("column", f"--column {pair} is not FIELD=NAME with a field of {allowed}.", allowed)
        told[field] = name
    return told
