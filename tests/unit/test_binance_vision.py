"""Binance's archives: which files there are, what their lines say, and what is refused."""

import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Malformed
from common.span import DAY_MS, MINUTE_MS, Span
from fetchers.binance_vision import Archive, days, months, parse_checksum, parse_lines
from fetchers.zipped import read_zip
from tests.fixtures import archives
from tests.fixtures.archives import HEADER, line

SHARED = Path(os.environ.get("CANDLEHOUSE_SHARED") or Path(__file__).parents[3] / "shared")
RECORDED = SHARED / "exchanges/recordings/binance"


def ms(*date: int) -> int:
    return round(datetime(*date, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type]


MONTH = Archive("BTCUSDT", Span(ms(2024, 2, 1), ms(2024, 3, 1)))


def test_a_span_touches_these_files_newest_first() -> None:
    span = Span(ms(2023, 12, 31, 23, 59), ms(2024, 2, 2, 0, 1))
    assert [one.path for one in months("BTCUSDT", span)] == [
        f"data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-{month}.zip"
        for month in ("2024-02", "2024-01", "2023-12")
    ]
    assert [one.path for one in days(MONTH, span)] == [
        f"data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-02-0{day}.zip" for day in (2, 1)
    ]
    assert [one.span.minutes() for one in days(MONTH, MONTH.span)] == [1440] * 29


def test_a_checksum_is_that_of_the_file_it_names() -> None:
    digest = "756551b6eb4f0a0173af3333762e6c95d08c7503bb3b7b79807e10a02575a4af"
    name = "BTCUSDT-1m-2024-12-31.zip"
    assert parse_checksum(f"{digest}  {name}\n".encode(), name) == digest
    assert parse_checksum(f"{digest.upper()} *{name}".encode(), name) == digest
    for body in (f"{digest}  other.zip\n", f"{digest[1:]}  {name}\n", "", "<html>", f"{digest}  {name}\n{digest}"):
        with pytest.raises(Malformed):
            parse_checksum(body.encode(), name)


def test_lines_are_read_in_milliseconds_and_microseconds_with_any_line_end() -> None:
    candles = [(MONTH.span.start_ms, 107.5, 108.75, 107.25, 108.12345678, 7.5, 7.25, 7)]
    for unit in (1, 1000):
        assert parse_lines(line(MONTH.span.start_ms, 7, unit)) == candles
        assert parse_lines(line(MONTH.span.start_ms, 7, unit).replace(b"\n", b"\r\n")) == candles
    assert parse_lines(b"") == []


@pytest.mark.parametrize(
    "wrong",
    [b"1,2,3\n", b"a,1,1,1,1,1,1,1,1,1,1,0\n", b"1,1,2,1,1,-1,1,1,1,0,0,0\n", b"1,0,2,1,1,1,1,1,1,0,0,0\n",
     b"1,3,2,1,1,1,1,1,1,0,0,0\n", b"1,1,2,1.5,1,1,1,1,1,0,0,0\n", b"1,1,1e999,1,1,1,1,1,1,0,0,0\n"],
)  # fmt: skip
def test_a_line_that_is_no_candle_is_refused(wrong: bytes) -> None:
    with pytest.raises(Malformed):
        parse_lines(line(MONTH.span.start_ms) + wrong)


def test_real_archives_are_read_to_their_last_row() -> None:
    if not RECORDED.is_dir():
        pytest.skip(f"no recording at {RECORDED}")
    files = {
        "archive_spot_BTCUSDT-1h-2024-12.csv": (ms(2024, 12, 1), 60, 744),
        "archive_spot_BTCUSDT-1h-2025-01.csv": (ms(2025, 1, 1), 60, 744),
        "archive_um_AVAXUSDT-1m-2025-02_day2025-02-03.csv.gz": (ms(2025, 2, 3), 1, 1440),
    }
    for name, (start_ms, step, rows) in files.items():
        content = archives.unpacked(RECORDED / name).removeprefix(HEADER)
        read = parse_lines(content)
        assert [row[0] for row in read] == [start_ms + i * step * MINUTE_MS for i in range(rows)]
        fields = [row.split(b",") for row in content.splitlines()]
        assert [row[1:] for row in read] == [(*map(float, row[1:6]), float(row[7]), int(row[8])) for row in fields]


@given(rows=st.integers(0, 30), header=st.booleans(), last_feed=st.booleans(), piece=st.integers(1, 400))
def test_a_zip_is_read_the_same_in_pieces_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, rows: int, header: bool, last_feed: bool, piece: int
) -> None:
    lines = [line(MONTH.span.start_ms + number * MINUTE_MS, number) for number in range(rows)]
    content = (HEADER if header else b"") + b"".join(lines)
    path = archives.write(tmp_path_factory.mktemp("zip"), MONTH, content if last_feed else content[:-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fetchers.zipped.PIECE_BYTES", piece)
        assert read_zip(path, parse_lines) == parse_lines(b"".join(lines))


def test_what_is_no_whole_zip_of_one_csv_is_refused(tmp_path: Path) -> None:
    path = archives.write(tmp_path, MONTH, archives.text(Archive("X", Span(0, DAY_MS))))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for wrong in (whole[: len(whole) // 2], whole[:-1], whole[10:], bytes(flipped), b"", b"<html>"):
        path.write_bytes(wrong)
        with pytest.raises(Malformed):
            read_zip(path, parse_lines)
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a.csv", b"")
        opened.writestr("b.csv", b"")
    with pytest.raises(Malformed):
        read_zip(path, parse_lines)
