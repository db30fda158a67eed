"""How far a fetch is, shown on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from app.stores.plan import Progress
from scripts.commands import progress

PLANNED = Progress("queued", 2880, 2880, 0, 0, 0, 0)
HALF = Progress("running", 2880, 1440, 1440, 1, 1, 0)
FAILED = Progress("failed", 2880, 0, 1440, 3, 0, 2)


def shown(*standings: Progress, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)
    with progress.display(console, "2 markets of bitfinex") as display:
        for standing in standings:
            display.show(standing)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_elsewhere_than_on_a_terminal_it_is_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_LINE_S", 0.0)
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    assert shown(PLANNED, HALF, FAILED, terminal=False).splitlines() == [
        "2 markets of bitfinex: 0 % · waiting for a worker",
        "2 markets of bitfinex: 50 % · 1,440 candles · 1 request",
        "2 markets of bitfinex: 100 % · 1,440 candles · 3 requests · 2 failed",
    ]


def test_a_fetch_that_is_over_at_once_prints_no_line_of_progress() -> None:
    assert shown(PLANNED, HALF, FAILED, terminal=False) == ""


def test_on_a_terminal_it_is_a_bar_with_percent_and_failures() -> None:
    text = shown(HALF, FAILED, terminal=True)
    assert "2 markets of bitfinex" in text and "100%" in text and "2 failed" in text


def test_a_job_waits_until_somebody_has_leased_or_asked() -> None:
    assert progress.waits(PLANNED)
    assert not progress.waits(HALF) and not progress.waits(PLANNED._replace(leased=1))
    assert not progress.waits(PLANNED._replace(minutes_left=0))
