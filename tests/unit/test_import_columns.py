"""Tables of other programs are understood by the names of their columns and the look of their times."""

import pytest

from app.imports.columns import by_names, parse_told, without_names
from app.imports.moments import moments_of
from common.errors import BadInput

HEADERS = {
    "ccxt, pandas": "timestamp,open,high,low,close,volume",
    "freqtrade": "date,open,high,low,close,volume",
    "TradingView": "time,open,high,low,close,Volume",
    "Binance": "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,x,ignore",
    "Binance's REST": "Open time,Open,High,Low,Close,Volume,Close time,Quote asset volume,Number of trades,Ignore",
    "pandas' index": ",open,high,low,close,volume",
    "CryptoDataDownload": "unix,date,symbol,open,high,low,close,Volume BTC,Volume USDT,tradecount",
}
PLACES = {
    "ccxt, pandas": (0, 1, 2, 3, 4, 5, None, None),
    "freqtrade": (0, 1, 2, 3, 4, 5, None, None),
    "TradingView": (0, 1, 2, 3, 4, 5, None, None),
    "Binance": (0, 1, 2, 3, 4, 5, 7, 8),
    "Binance's REST": (0, 1, 2, 3, 4, 5, 7, 8),
    "pandas' index": (0, 1, 2, 3, 4, 5, None, None),
    "CryptoDataDownload": (1, 3, 4, 5, 6, 7, 8, 9),
}


@pytest.mark.parametrize("program", HEADERS)
def test_columns_are_found_by_the_names_that_programs_write(program: str) -> None:
    assert by_names(HEADERS[program].split(","), {}, "BTC", "USDT").places == PLACES[program]


def test_a_person_may_name_columns_and_is_told_what_there_is() -> None:
    header = ["when", "open", "high", "low", "last", "volume"]
    with pytest.raises(
        BadInput, match=r"No column is known to be time, close; there are when, open, .*--column time="
    ):
        by_names(header, {}, "BTC", "USDT")
    told = parse_told(["time=when", "close=last"])
    assert by_names(header, told, "BTC", "USDT").places == (0, 1, 2, 3, 4, 5, None, None)
    for wrong in ("close", "klose=last"):
        with pytest.raises(BadInput, match="is not FIELD=NAME"):
            parse_told([wrong])
    with pytest.raises(BadInput, match="There is no column 'x'"):
        by_names(header, {"time": "x"}, "BTC", "USDT")


def test_without_names_ccxts_six_and_binances_twelve_are_known() -> None:
    assert without_names(6).places == (0, 1, 2, 3, 4, 5, None, None)
    assert without_names(12).places == (0, 1, 2, 3, 4, 5, 7, 8)
    with pytest.raises(BadInput, match="neither ccxt's 6 nor Binance's 12"):
        without_names(7)


@pytest.mark.parametrize(
    ("written", "name"),
    [("1609459200", "seconds"), ("1609459200000", "milliseconds"), ("1609459200000000", "microseconds"),
     ("1609459200000000000", "nanoseconds"), ("1609459200.0", "seconds"), ("2021-01-01T00:00:00Z", "ISO 8601"),
     ("2021-01-01 02:00:00+02:00", "ISO 8601"), ("2021-01-01 00:00:00", "ISO 8601 without a zone, taken as UTC"),
     (1609459200000, "milliseconds")],
)  # fmt: skip
def test_times_are_understood_in_every_unit_and_form(written: object, name: str) -> None:
    moments = moments_of(written)
    assert (moments.name, moments.ms(written)) == (name, 1_609_459_200_000)


def test_what_is_no_time_is_refused() -> None:
    for written in ("yesterday", "", "2021-13-01"):
        with pytest.raises(ValueError):
            moments_of(written)
