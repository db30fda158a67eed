"""In which form bars are answered, and how PostgreSQL's rows are cut."""

import random
import struct

import pytest

from web.bulk.rows import Blocks, Layout
from web.formats import Format, accepted


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", Format.JSON),
        ("*/*", Format.JSON),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format.JSON),
        ("application/json, text/plain, */*", Format.JSON),
        ("text/csv", Format.CSV),
        ("TEXT/CSV; header=present", Format.CSV),
        ("application/json;q=0.5, text/csv;q=0.6", Format.CSV),
        ("application/vnd.apache.arrow.stream, application/json", Format.ARROW),
        ("application/json, application/vnd.apache.arrow.stream", Format.JSON),
        ("application/vnd.apache.parquet;q=1, application/vnd.candlehouse.columns+json;q=0.9", Format.PARQUET),
        ("application/vnd.candlehouse.columns+json", Format.COLUMNS),
        ("text/csv;q=0", Format.JSON),
        ("text/csv;q=nonsense", Format.JSON),
    ],
)
def test_accept_chooses_what_it_likes_best(header: str, wanted: Format) -> None:
    assert accepted(header) is wanted


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 64])
def test_rows_in_pieces_of_any_size_become_the_same_columns(rows: int) -> None:
    values = [(number, number / 7, number % 2) for number in range(rows)]
    body = b"".join(struct.pack(">hiqidi?", 3, 8, one, 8, two, 1, three) for one, two, three in values)
    stream = b"PGCOPY\n\xff\r\n\0" + bytes(8) + body + b"\xff\xff"
    layout, picked = Layout([8, 8, 1]), random.Random(rows)
    for most in (1, 5, 40, len(stream)):
        blocks, found, left = Blocks(layout, 8), [], stream
        while left:
            size = picked.randint(1, most)
            found += blocks.add(left[:size])
            left = left[size:]
        found.append(blocks.rest())
        assert [len(block) // layout.row for block in found[:-1]] == [8] * (rows // 8)
        columns = [b"".join(layout.column(block, number) for block in found) for number in range(3)]
        read = (struct.unpack(f"<{rows}{kind}", column) for kind, column in zip("qd?", columns, strict=True))
        assert list(zip(*read, strict=True)) == values


def test_half_a_row_at_the_end_is_told() -> None:
    blocks = Blocks(Layout([8]), 8)
    assert list(blocks.add(bytes(19) + bytes(5) + b"\xff\xff")) == []
    with pytest.raises(ValueError, match="5 bytes are no rows of 14 bytes"):
        blocks.rest()
