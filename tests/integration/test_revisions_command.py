"""`candlehouse revisions`: a table for people, a document for programs."""

import json
import re
from pathlib import Path

import pytest
import typer

from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database
from common.span import MINUTE_MS
from scripts import cli
from tests.fixtures.web import BTC, PEPE, SetClock, store

T0 = 1_715_767_020_000  # 2024-05-15T09:57
ASKED = ["--exchange", "binance", "--symbols", "BTC/USDT"]


@pytest.fixture
async def corrected(database: Database, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A market whose minute had other values for a while, and one that was always right."""
    for market in (BTC, PEPE):
        await store(database, market, [])
    for source, close, at_ms in ((2, 1.5, T0 + 70_000), (3, 1.75, T0 + 600_000)):
        clock = SetClock(at_ms)
        rows = [StoredCandle(one, T0, 1, 2, 0.5, close if one == 1 else 1, 10, None, 7, source) for one in (1, 2)]
        await CandleStore(database, clock).write(rows)
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.chdir(tmp_path)
    return postgres_url


def say(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.run(typer.main.get_command(cli.app), ["revisions", *arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_it_shows_what_was_known_from_when_until_when(corrected: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = say(capsys, "--exchange", "binance")
    assert status == 0
    times = ["2024-05-15T09:58:00", "2024-05-15T10:07:00"]
    assert [re.split(r" {2,}", line.strip()) for line in out.splitlines()] == [
        ["binance BTC/USDT"],
        ["minute", "open", "high", "low", "close", "volume", "told by", "known from", "superseded at"],
        ["2024-05-15T09:57:00", "1.0", "2.0", "0.5", "1.5", "10.0", "closing message", *times],
    ]


def test_it_answers_programs_with_one_document(corrected: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = say(capsys, *ASKED, "--start", "2024-05-15", "--json")
    (one,) = json.loads(out)
    prices = {
        "open": 1.0,
        "high": 2.0,
        "low": 0.5,
        "close": 1.5,
        "volume": 10.0,
        "quote_volume": None,
        "trades": 7,
    }
    times = {"time": T0, "known_from": T0 + MINUTE_MS, "superseded_at": T0 + 600_000}
    assert (status, one) == (0, {"market": "binance BTC/USDT", "id": 1, "source": 2} | prices | times)
    assert say(capsys, *ASKED, "--end", "2024-05-15T09:57:00", "--json")[1] == "[]\n"
    assert say(capsys, *ASKED, "--end", "2024-05-15")[1] == "No stored minute of this was ever corrected.\n"


MISTAKES = [
    ([], "Say --exchange, one of "),
    (["--exchange", "bitfinex"], "No market of bitfinex is stored yet; `candlehouse fetch` begins."),
    ([*ASKED, "--end", "2999-01-01"], "--end 2999-01-01 is in the future; it is "),
    ([*ASKED, "--start", "soon"], "--start 'soon' is not a date; write "),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_a_mistake_is_answered_in_one_sentence(
    corrected: str, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    status, out, err = say(capsys, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(sentence)
