"""Volumes of minutes, whatever their digits, sum to the same value on every way."""

import math
import random
from decimal import Decimal

from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.rollups import RollupStore
from common.span import MINUTE_MS
from common.timeframe import parse
from tests.fixtures.bars import FAR_MS, T0, exact, list_symbols

#: Satoshis, more digits than eight, more than fifteen, nothing, too large, too small.
AMOUNTS = (0.00000001, 0.1 + 0.2, 1 / 3, 123456.12345678, 9999999.99999999, 9999999.999999998, 10000000.0, 0.0)
AMOUNTS += (1e7 - 1e-8, 98765432.12345678, 90071992.54740993, 1e15, 1e22, 1.5e-9, 5e-324, 1.7e300, 33333333.3)


def drawn() -> list[float]:
    """Amounts as exchanges write them, as sums in floating point leave them, and as nobody does."""
    rng = random.Random(7)
    written = [round(rng.uniform(0, 10 ** rng.randrange(12)), rng.randrange(13)) for _ in range(4000)]
    near = [math.nextafter(value, math.inf) for value in written[:2000]]
    return [*AMOUNTS, *written, *near, *(rng.uniform(0, 1e7) for _ in range(2000))]


async def test_an_amount_in_satoshis_is_its_numeric_value_or_nothing(database: Database) -> None:
    amounts = drawn()
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT a, satoshis(a), a::numeric FROM unnest($1::float8[]) AS a", amounts)
        odd = "SELECT satoshis('NaN'), satoshis('Infinity'), satoshis('-Infinity'), satoshis(NULL), satoshis(-0.5)"
        assert tuple(await connection.fetchrow(odd)) == (None, None, None, None, -50_000_000)
    assert [(amount, value) for amount, _, value in rows] == [(amount, exact(amount)) for amount in amounts]
    whole = [(amount, count) for amount, count, _ in rows if count is not None]
    assert whole == [(amount, int(exact(amount) * 10**8)) for amount, _ in whole]
    eight = [amount for amount in amounts if amount < 1e7 and exact(amount) == round(exact(amount), 8)]
    assert {amount for amount in eight if float(exact(amount)) == amount} == {amount for amount, _ in whole}


async def test_minutes_of_any_digits_sum_to_one_value_by_every_way(database: Database) -> None:
    """Seven minutes are summed from minutes, fifteen from stored bars, each in any order."""
    await list_symbols(database)
    volumes = random.Random(8).sample(drawn(), 3000)
    rows = [
        StoredCandle(1, T0 + n * MINUTE_MS, 1, 1, 1, 1, volume, volume / 7, 1, 3)
        for n, volume in enumerate(volumes)
    ]
    store = CandleStore(database)
    await store.write(rows)
    for _ in range(2):  # before the refresh, and after
        for text in ("7m", "10m", "15m", "45m", "2h"):
            frame = parse(text)
            sums: dict[int, list[Decimal]] = {}
            for row in rows:
                both = sums.setdefault(frame.floor(row.open_ms), [Decimal(0), Decimal(0)])
                both[0] += exact(row.volume)
                both[1] += exact(row.quote_volume or 0)
            found = await store.bars(1, frame, None, FAR_MS, 3000)
            wanted = [(start, float(base), float(quote)) for start, (base, quote) in sums.items()]
            assert [(bar.open_ms, bar.volume, bar.quote_volume) for bar in found] == wanted
        await RollupStore(database).refresh()
