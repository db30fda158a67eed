"""`candlehouse import postgres` brings a predecessor's candles over, checked, and below what exchanges say."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import open_database
from common.span import MINUTE_MS, Span
from tests.fixtures.command_line import CommandLine, candlehouse
from tests.fixtures.postgres import execute, fetch
from tests.fixtures.simulator import simulator

__all__ = ["candlehouse", "simulator"]

#: The predecessor's tables, as its users have them.
SCHEMA = """
CREATE TABLE symbol_exchange (exchange varchar(100) NOT NULL, base_id varchar(20) NOT NULL,
    quote_id varchar(20) NOT NULL, symbol varchar(40) NOT NULL, is_trading boolean NOT NULL,
    PRIMARY KEY (exchange, base_id, quote_id));
CREATE TABLE ohlcvs (time timestamptz NOT NULL, exchange varchar(100) NOT NULL, base_id varchar(20) NOT NULL,
    quote_id varchar(20) NOT NULL, open numeric NOT NULL, high numeric NOT NULL, low numeric NOT NULL,
    close numeric NOT NULL, volume numeric NOT NULL);
INSERT INTO symbol_exchange VALUES ('binance', 'BTC', 'USDT', 'BTCUSDT', true),
    ('bitfinex', 'BTC', 'UST', 'BTCUST', true), ('bitfinex', 'OLD', 'DSH', 'OLDDSH', false),
    ('mtgox', 'BTC', 'USD', 'BTCUSD', false), ('binance', 'ETH', 'USDT', 'ETHUSDT', true)
"""
T0 = round(datetime(2021, 5, 3, tzinfo=UTC).timestamp() * 1000)


def row(minute: float, values: str, market: str = "'binance', 'BTC', 'USDT'") -> str:
    return f"INSERT INTO ohlcvs VALUES (to_timestamp({T0 / 1000 + minute * 60}), {market}, {values})"


GOOD = "100.10, 101.25, 99.5, 100.75, 12.34567891"
BITFINEX = ("'bitfinex', 'BTC', 'UST'", "'bitfinex', 'OLD', 'DSH'")


@pytest.fixture
def there(empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a predecessor's database, whose password is in PGPASSWORD."""
    execute(empty_postgres_url, SCHEMA, *(row(minute, GOOD) for minute in (0, 1, 2, 5)))
    execute(empty_postgres_url, *(row(7, GOOD, market) for market in (*BITFINEX, "'mtgox', 'BTC', 'USD'")))
    parts = urlsplit(empty_postgres_url)
    monkeypatch.setenv("PGPASSWORD", parts.password or "")
    yield empty_postgres_url.replace(f":{parts.password}@", "@")


STORED = (
    "SELECT s.exchange, s.base_id, s.quote_id, extract(epoch FROM time)::bigint * 1000, open, high, low, close, "
    "volume, quote_volume, trades, source "
    "FROM candles JOIN symbol_exchange AS s ON s.id = symbol_id ORDER BY 1, 2, 3, 4"
)
VALUES = (100.10, 101.25, 99.5, 100.75, 12.34567891, None, None, 1)


def minutes(url: str, column: str) -> list[tuple[int, int]]:
    """(first, end) of each span of BTC/USDT's coverage, in minutes from T0."""
    query = (
        f"SELECT extract(epoch FROM lower(span))::bigint, extract(epoch FROM upper(span))::bigint FROM coverage "
        f"JOIN symbol_exchange AS s ON s.id = symbol_id CROSS JOIN unnest({column}) AS span "
        "WHERE s.symbol = 'BTCUSDT' ORDER BY 1"
    )
    return [((first - T0 // 1000) // 60, (end - T0 // 1000) // 60) for first, end in fetch(url, query)]


def test_its_candles_are_stored_under_our_names_and_its_absent_minutes_stay_to_be_asked(
    candlehouse: CommandLine, postgres_url: str, there: str
) -> None:
    status, said = candlehouse("import", "postgres", there, "--yes")
    assert (
        status == 0 and "Imported 6 candles of 6." in said and "the exchange mtgox, which has no adapter" in said
    )
    assert "bitfinex BTC/USDT (there BTC/UST): 2021-05-03T00:07:00" in said
    assert "bitfinex OLD/DASH (new here) (there OLD/DSH)" in said
    assert fetch(postgres_url, STORED) == [
        *(("binance", "BTC", "USDT", T0 + minute * MINUTE_MS, *VALUES) for minute in (0, 1, 2, 5)),
        ("bitfinex", "BTC", "USDT", T0 + 7 * MINUTE_MS, *VALUES),
        ("bitfinex", "OLD", "DASH", T0 + 7 * MINUTE_MS, *VALUES),
    ]
    assert (minutes(postgres_url, "covered"), minutes(postgres_url, "wanted")) == ([(0, 3), (5, 6)], [(0, 6)])
    status, said = candlehouse("import", "postgres", there, "--yes")
    assert status == 0 and "Imported 0 candles of 6." in said and "6 were left out, for their minutes" in said


async def write(url: str, rows: list[StoredCandle], cover: list[tuple[int, Span]]) -> None:
    database = open_database(url)
    await CandleStore(database).write(rows, cover=cover)
    await database.close()


def test_what_an_exchange_answered_stays_and_what_it_answers_later_replaces(
    candlehouse: CommandLine, postgres_url: str, there: str
) -> None:
    candlehouse("import", "postgres", there, "--yes", "--symbols", "binance:ETH:USDT")
    ((symbol_id,),) = fetch(postgres_url, "SELECT id FROM symbol_exchange WHERE symbol = 'BTCUSDT'")
    answered = StoredCandle(symbol_id, T0, 1, 2, 0.5, 1.5, 3, 4, 5, 3)
    empty_too = [(symbol_id, Span(T0, T0 + 2 * MINUTE_MS))]
    asyncio.run(write(postgres_url, [answered], empty_too))
    status, said = candlehouse("import", "postgres", there, "--yes", "--symbols", "binance:*")
    assert status == 0 and "2 were left out" in said
    later = StoredCandle(symbol_id, T0 + 2 * MINUTE_MS, 1, 2, 0.5, 1.5, 3, 4, 5, 3)
    asyncio.run(write(postgres_url, [later], []))
    stored = fetch(postgres_url, f"SELECT extract(epoch FROM time)::bigint * 1000, volume, source FROM candles "
                   f"WHERE symbol_id = {symbol_id} AND time >= to_timestamp({T0 // 1000}) ORDER BY 1")  # fmt: skip
    assert stored == [(T0, 3, 3), (T0 + 2 * MINUTE_MS, 3, 3), (T0 + 5 * MINUTE_MS, VALUES[4], 1)]


def test_minutes_are_left_to_be_asked_again_on_request(
    candlehouse: CommandLine, postgres_url: str, there: str
) -> None:
    candlehouse("import", "postgres", there, "--yes", "--ask-again")
    assert (minutes(postgres_url, "covered"), minutes(postgres_url, "wanted")) == ([], [(0, 6)])


BAD = {
    "it is there twice": row(0, GOOD),
    "its time does not start a minute": row(3.5, GOOD),
    "high is below another price": row(3, "100, 99, 98, 98.5, 1"),
    "low is above another price": row(3, "100, 101, 100.5, 101, 1"),
    "a price is not above 0": row(3, "0.00, 0.00, 0.00, 0.00, 12"),
    "volume is negative": row(3, "1, 1, 1, 1, -1"),
    "a price or the volume is no number": row(3, "1, 1, 1, 1, 'NaN'"),
}


def test_bad_rows_are_left_out_counted_and_told(
    candlehouse: CommandLine, postgres_url: str, there: str, empty_postgres_url: str
) -> None:
    execute(empty_postgres_url, *BAD.values())
    status, said = candlehouse("import", "postgres", there, "--yes", "--symbols", "binance:BTC:USDT")
    told = [why for why in BAD if f"1 row left out: {why}." in said]
    assert status == 0 and told == list(BAD), said
    assert "binance:spot:BTC/USDT at 2021-05-03T00:03:00: " in said
    assert [one[3] for one in fetch(postgres_url, STORED) if one[0] == "binance"] == [
        T0 + minute * MINUTE_MS for minute in (0, 1, 2, 5)
    ]


def test_a_dry_run_and_a_question_that_nobody_answers_change_nothing(
    candlehouse: CommandLine, postgres_url: str, there: str
) -> None:
    status, said = candlehouse("import", "postgres", there, "--dry-run")
    assert status == 0 and "3 markets, up to 8 candles:" in said and "Nothing was changed." in said
    status, said = candlehouse("import", "postgres", there)
    assert status == 2 and "say --yes where nobody can be asked" in said
    assert fetch(postgres_url, STORED) == []


def test_a_password_never_stands_on_a_command_line_and_may_be_in_a_file(
    candlehouse: CommandLine, there: str, empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    password = urlsplit(empty_postgres_url).password or ""
    status, said = candlehouse("import", "postgres", empty_postgres_url, "--dry-run")
    assert status == 2 and "Leave the password out of the address" in said and password not in said
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / "secret").write_text(f"{password}\n")
    assert (
        candlehouse("import", "postgres", there, "--dry-run", "--password-file", str(tmp_path / "secret"))[0] == 0
    )
    monkeypatch.setenv("PGPASSWORD", "wrong")
    status, said = candlehouse("import", "postgres", there, "--dry-run")
    assert status == 1 and "refuses: password authentication failed" in said and said.count("\n") == 1


def test_a_mistake_is_one_sentence(candlehouse: CommandLine, there: str, empty_postgres_url: str) -> None:
    execute(empty_postgres_url, "ALTER TABLE ohlcvs RENAME base_id TO base")
    assert candlehouse("import", "postgres", there) == (
        2,
        "The table ohlcvs of that database has no column base_id.\n",
    )
    assert candlehouse("import", "postgres", "mysql://x/y")[0] == 2
    status, said = candlehouse("import", "postgres", "postgresql://x@127.0.0.1:9/y")
    assert status == 1 and "127.0.0.1 cannot be reached" in said and said.count("\n") == 1
