"""`candlehouse import binance-vision` says what it does, does it once, and leaves the rest to REST."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.span import DAY_MS, MINUTE_MS, Span
from fetchers.binance_vision import Archive
from tests.fixtures import archives
from tests.fixtures.command_line import CommandLine, candlehouse
from tests.fixtures.postgres import fetch
from tests.fixtures.simulator import Simulator, clock_at, running_simulator

__all__ = ["candlehouse"]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """The middle of a month, whose days are published and which is not."""
    noon_ms = round(datetime(2026, 9, 16, 12, tzinfo=UTC).timestamp() * 1000)
    with running_simulator(clock_at(1.001, noon_ms)) as running:
        yield running


def text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def yesterday(simulator: Simulator) -> Span:
    start_ms = simulator.clock.now_ms() // DAY_MS * DAY_MS
    return Span(start_ms - DAY_MS, start_ms)


def asked(simulator: Simulator, minutes_more: int = 0) -> list[str]:
    day = yesterday(simulator)
    span = ["--start", text(day.start_ms), "--end", text(day.end_ms + minutes_more * MINUTE_MS)]
    return ["import", "binance-vision", "--symbols", "BTC/USDT", *span]


def test_archives_are_imported_once_and_the_second_time_says_so(
    candlehouse: CommandLine, simulator: Simulator, postgres_url: str
) -> None:
    status, said = candlehouse(*asked(simulator))
    assert (
        status == 0 and "Imported 1 archive: 1,440 candles, 1,440 new or changed" in said and said.count("\n") == 1
    )
    truth = simulator.truth("binance", "BTC", "USDT", *yesterday(simulator))
    stored = fetch(
        postgres_url, "SELECT extract(epoch FROM time)::bigint * 1000, open, close FROM ohlcvs ORDER BY 1"
    )
    assert [list(row) for row in stored] == [[row[0], row[1], row[4]] for row in truth]
    assert fetch(postgres_url, "SELECT count(*) FROM rollup_dirty") == [(0,)], "bars are rolled up"
    status, said = candlehouse(*asked(simulator))
    assert status == 0 and "Imported 0 archives: 0 candles" in said and "1 unchanged" in said


def test_what_no_archive_answers_for_is_asked_by_rest(
    candlehouse: CommandLine, simulator: Simulator, postgres_url: str
) -> None:
    status, said = candlehouse(*asked(simulator, 60), "--no-rest")
    assert status == 0 and "60 minutes that no archive answers for: `candlehouse fetch" in said
    assert fetch(postgres_url, "SELECT count(*) FROM fetch_jobs") == [(0,)]
    status, said = candlehouse(*asked(simulator, 60), "--detach")
    assert status == 0 and "Job 1 asks Binance's REST for 60 minutes that no archive answers for." in said
    assert fetch(postgres_url, "SELECT minutes_total FROM fetch_jobs") == [(60,)]
    (wanted,) = fetch(
        postgres_url, "SELECT extract(epoch FROM upper(wanted) - lower(wanted))::int / 60 FROM coverage"
    )
    assert wanted == (1500,)


def test_a_dry_run_tells_files_rows_and_bytes_and_changes_nothing(
    candlehouse: CommandLine, simulator: Simulator, postgres_url: str
) -> None:
    status, said = candlehouse(*asked(simulator), "--dry-run", "--json")
    archive, sentence = map(json.loads, said.splitlines())
    assert status == 0 and (archive["state"], archive["rows"]) == ("new", 1440) and archive["bytes"] > 10_000
    assert sentence["text"].startswith("Would import 1 archive (") and sentence["rows"] == 1440
    assert fetch(postgres_url, "SELECT count(*) FROM coverage") == [(0,)]


def test_machines_read_a_line_of_json_for_each_archive(candlehouse: CommandLine, simulator: Simulator) -> None:
    simulator.fault("binance", "archive_truncated")
    status, said = candlehouse(*asked(simulator), "--json", "--no-rest")
    archive, *_ = map(json.loads, said.splitlines())
    assert status == 1 and (archive["event"], archive["market"], archive["state"]) == (
        "archive",
        "BTC/USDT",
        "refused",
    )
    assert "cannot be unpacked" in archive["reason"]


def test_a_folder_that_mirrors_the_archives_needs_no_host(
    candlehouse: CommandLine, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = Archive("BTCUSDT", yesterday(simulator))
    flat = tmp_path / "mirror"
    archives.write(flat, day, archives.text(day, 1000)).rename(flat / day.name)
    (flat / f"{day.path}.CHECKSUM").rename(flat / f"{day.name}.CHECKSUM")
    monkeypatch.setenv("BINANCE_ARCHIVE_URL", "http://127.0.0.1:9")
    status, said = candlehouse(*asked(simulator), "--from", str(flat))
    assert status == 0 and "Imported 1 archive: 1,440 candles" in said


def test_a_mistake_is_one_sentence_and_status_2(
    candlehouse: CommandLine, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistakes = {
        (*asked(simulator), "--from", "/nowhere"): "--from /nowhere is not a folder.",
        tuple(asked(simulator)[:-2]): "Say --end",
        (*asked(simulator), "--symbols", "BTC/USTD"): "did you mean",
    }
    for arguments, words in mistakes.items():
        status, said = candlehouse(*arguments)
        assert status == 2 and words in said and said.count("\n") == 1, said
    monkeypatch.setenv("MARKET", "simulated")
    monkeypatch.delenv("BINANCE_ARCHIVE_URL")
    status, said = candlehouse(*asked(simulator))
    assert status == 2 and "Binance's real archives must not mix" in said


def test_a_host_that_does_not_answer_is_one_sentence(
    candlehouse: CommandLine, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fetchers.files.ATTEMPTS", 1)
    monkeypatch.setenv("BINANCE_ARCHIVE_URL", "http://127.0.0.1:9")
    status, said = candlehouse(*asked(simulator))
    assert status == 1 and "http://127.0.0.1:9 does not answer" in said and said.count("\n") == 1
