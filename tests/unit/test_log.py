"""Log lines reach the file that was asked for, readable, bounded in size, and without secrets."""

import logging
from pathlib import Path

import pytest
import structlog

from app import log


def test_our_lines_and_other_libraries_share_one_file_and_form(tmp_path: Path) -> None:
    log.configure("INFO", file=tmp_path / "websockets/binance_websocket.log")
    structlog.get_logger("ours").info("connected", exchange="binance")
    logging.getLogger("theirs").warning("slow by %s s", 3)
    structlog.get_logger("ours").debug("unseen")
    lines = (tmp_path / "websockets/binance_websocket.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "[info] connected [ours] exchange=binance",
        "[warning] slow by 3 s [theirs]",
    ]


def test_the_terminal_is_used_when_no_file_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log.configure("INFO")
    structlog.get_logger("ours").info("hello")
    log.configure("INFO", file=tmp_path / "own.log")
    structlog.get_logger("ours").info("silence")
    assert [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()] == ["[info] hello [ours]"]


def test_a_password_in_an_address_is_hidden(tmp_path: Path) -> None:
    log.configure("INFO", file=tmp_path / "one.log")
    try:
        raise OSError("cannot reach redis://default:s3cret@127.0.0.1:6379/0")
    except OSError:
        structlog.get_logger("ours").exception("lost", url="postgresql://candlehouse:s3cret@h/db")
    text = (tmp_path / "one.log").read_text()
    assert ("s3cret" in text, "redis://default:***@127.0.0.1" in text, "candlehouse:***@h/db" in text) == (
        False,
        True,
        True,
    )


def test_an_error_is_told_without_the_values_of_its_variables(tmp_path: Path) -> None:
    def connect(secret: str) -> None:
        raise ConnectionError("refused")

    log.configure("INFO", file=tmp_path / "a.log")
    for logger in (structlog.get_logger("ours"), logging.getLogger("theirs")):
        try:
            connect("hunter2".upper())
        except ConnectionError:
            logger.exception("no connection")
    told = (tmp_path / "a.log").read_text()
    assert told.count("ConnectionError: refused") == 2
    assert "HUNTER2" not in told


def test_a_file_is_rotated_before_it_grows_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MAX_BYTES", 2000)
    log.configure("INFO", file=tmp_path / "one.log")
    for number in range(300):
        structlog.get_logger("ours").info("line", number=number)
    files = sorted(tmp_path.iterdir())
    assert len(files) == log.KEPT_FILES + 1
    assert max(file.stat().st_size for file in files) <= 2000
