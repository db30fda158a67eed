"""What is packed for COPY arrives in PostgreSQL bit by bit."""

import sys
from typing import Any

import pytest

from app.stores.candles import StoredCandle
from app.stores.copy_binary import COLUMNS, copy_rows, encode
from app.stores.database import Database
from common.span import MINUTE_MS
from tests.fixtures.copy import decode

FIRST_MS = 1_262_304_000_000
#: Before and after 2000, with and without each of what may be absent, and the ends of what a double can say.
ROWS = [
    StoredCandle(1, 0, 1.1, 2.2, 0.3, 1.5, 0.0, None, None, 1),
    StoredCandle(1, FIRST_MS, 0.1 + 0.2, 5e-324, sys.float_info.max, -0.0, 1e-9, 7.25, None, 2),
    StoredCandle(2**31 - 1, FIRST_MS + MINUTE_MS, 1.0, 1.0, 1.0, 1.0, 1 / 3, None, 2**31 - 1, 3),
    StoredCandle(7, 4_102_444_800_000 - MINUTE_MS, 61250.01, 61251.0, 61249.99, 61250.5, 3.5, 214375.0, 12, 3),
]


async def test_every_value_and_every_absence_is_stored_as_it_is(database: Database) -> None:
    async with database.begin() as connection:
        await copy_rows(connection, "candles", ROWS)
        found = await connection.fetch(f"SELECT {', '.join(COLUMNS)} FROM candles ORDER BY time")
    assert [str(StoredCandle(*row)) for row in found] == [str(row) for row in ROWS]  # -0.0 is not 0.0


def test_the_reader_for_servers_without_copy_reads_the_same() -> None:
    assert [StoredCandle(*row) for row in decode(encode(ROWS))] == ROWS


@pytest.mark.parametrize("broken", [{"open": None}, {"trades": 2**31}, {"source": 2**15}, {"open_ms": 2**60}])
def test_a_row_that_cannot_be_stored_is_named(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"StoredCandle\(symbol_id=7, .* cannot be stored"):
        encode([ROWS[0], ROWS[3]._replace(**broken)])
