"""Each blow of the live rounds stands in the table of failures, with tests that exist."""

import re
from pathlib import Path

import pytest

from tests.faults.live_plan import CYCLE, Blow, live_round_of
from tests.unit.test_faults_table import TEST, functions

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/reference/failures.md").read_text()
ROWS = dict(re.findall(r"^\| ([A-Z_]+) \|.*\| (.+?) \|$", TEXT, re.MULTILINE))


def test_the_table_names_each_blow_once_and_no_other() -> None:
    assert sorted(re.findall(r"^\| ([A-Z_]+) \|", TEXT, re.MULTILINE)) == sorted(blow.name for blow in Blow)


@pytest.mark.parametrize("blow", Blow)
def test_each_blow_has_a_quick_test_that_exists(blow: Blow) -> None:
    assert TEST.findall(ROWS[blow.name])


def test_every_test_that_the_page_names_exists() -> None:
    assert [f"{path}::{name}" for path, name in TEST.findall(TEXT) if name not in functions(ROOT / path)] == []


@pytest.mark.parametrize("cycle", range(4))
def test_rounds_in_a_row_play_every_blow_once(cycle: int) -> None:
    played = [
        blow for n in range(CYCLE) for blow, minutes in live_round_of(cycle * CYCLE + n).blows if minutes > 0
    ]
    assert sorted(played) == sorted(Blow)
