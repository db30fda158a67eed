"""How far a fetch is, shown on a terminal, elsewhere, and to programs."""

import io
import json

import pytest
from rich.console import Console

from app.stores.plan import Progress
from scripts.commands import progress
from scripts.commands.outlook import how_long
from scripts.commands.progress import Rate, Rates, Standing

PLANNED = Progress("queued", 2880, 2880, 0, 0, 0, 0)
HALF = Progress("running", 2880, 1440, 1440, 1, 1, 0)
FAILED = Progress("failed", 2880, 0, 1440, 3, 0, 2)
FAST = Rate(900.4, 40.2, 3723.0)


def shown(*standings: Standing, terminal: bool = False, for_programs: bool = False) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=140, color_system=None)
    with progress.display(console, json=for_programs) as display:
        for standing in standings:
            display.show([standing])
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def of(standing: Progress, rate: Rate = Rate(), waiting: str = "") -> Standing:  # noqa: B008 - a value
    return Standing("bitfinex", standing, rate, waiting)


def test_elsewhere_than_on_a_terminal_nothing_is_shown() -> None:
    assert shown(of(PLANNED), of(HALF), of(FAILED)) == ""


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (of(PLANNED), "waiting for a worker"),
        (
            of(HALF, FAST, "waiting for the limit"),
            "1,440 candles · 900/s · 1:02:03 left · waiting for the limit",
        ),
        (of(FAILED), "1,440 candles · 2 failed"),
    ],
)
def test_a_bar_tells_rates_and_failures_and_what_it_waits_for(standing: Standing, words: str) -> None:
    assert progress.facts(standing) == words


def test_on_a_terminal_it_is_a_bar_with_percent_and_failures() -> None:
    text = shown(of(HALF), of(FAILED), terminal=True)
    assert "bitfinex" in text and "100%" in text and "2 failed" in text


def test_programs_get_an_object_a_line_and_always_the_last_one() -> None:
    first, last = map(json.loads, shown(of(HALF, FAST), of(HALF), of(FAILED), for_programs=True).splitlines())
    assert first == {
        "event": "progress",
        "exchange": "bitfinex",
        **HALF._asdict(),
        **FAST._asdict(),
        "waiting": "",
        "no_worker": False,
    }
    assert last["state"] == "failed" and last["errors"] == 2


def test_rates_are_those_of_the_last_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now_s)
    rates = Rates()
    assert rates.of(Progress("running", 9000, 9000, 0, 0, 0, 0)) == Rate()
    now_s = 100.0
    assert rates.of(Progress("running", 9000, 6000, 3000, 3, 0, 0)) == Rate()
    now_s = 110.0
    assert rates.of(Progress("running", 9000, 5000, 3800, 4, 0, 0)) == Rate(80, 6, 50)


def test_a_job_waits_until_somebody_has_leased_or_asked() -> None:
    assert progress.waits(PLANNED)
    assert not progress.waits(HALF) and not progress.waits(PLANNED._replace(leased=1))
    assert not progress.waits(PLANNED._replace(minutes_left=0))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (20, "less than a minute"),
        (11 * 60 + 15, "about 11 min"),
        (7500, "about 2 h 5 min"),
        (3599, "about 1 h 0 min"),
        (90_000 * 3, "about 3 d 3 h"),
    ],
)
def test_how_long_a_fetch_takes_is_told_in_words(seconds: float, words: str) -> None:
    assert how_long(seconds) == words
