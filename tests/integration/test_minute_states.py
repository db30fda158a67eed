"""Each minute of a market has exactly one state, on every storage tier."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.stores.coverage import cover_on, want_on
from app.stores.database import Database
from app.stores.symbols import SymbolStore
from app.tiers import Tier
from common.market import Instrument
from common.span import MINUTE_MS, Span
from tests.fixtures.tiers import open_tier

#: 2024-03-01.
T0 = 1_709_251_200_000
LENGTH = 40
BTC = Instrument("bitfinex", "BTC", "USD", "BTCUSD")
STATES = "SELECT lower(span), upper(span), state, reason FROM minute_states($1, $2, $3, $4)"

Minutes = tuple[int, int]
minutes_span = st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH)).map(lambda pair: (min(pair), max(pair)))
spans = st.lists(minutes_span.filter(lambda span: span[0] < span[1]), max_size=4)


class World(NamedTuple):
    """Minutes counted from T0; spans exclude their end. `errors` and `leases` tell whether they still count."""

    rows: set[int]
    covered: Sequence[Minutes]
    wanted: Sequence[Minutes]
    outages: Sequence[Minutes]
    leases: Sequence[tuple[Minutes, bool]]
    errors: Sequence[tuple[Minutes, bool]]
    planned: Sequence[Minutes]
    listed: int | None
    asked: Minutes
    now: int


marked = st.lists(st.tuples(minutes_span.filter(lambda span: span[0] < span[1]), st.booleans()), max_size=3)
worlds = st.builds(
    World,
    rows=st.sets(st.integers(0, LENGTH - 1)),
    covered=spans,
    wanted=spans,
    outages=spans,
    leases=marked,
    errors=marked,
    planned=spans,
    listed=st.none() | st.integers(0, LENGTH),
    asked=minutes_span,
    now=st.integers(0, LENGTH),
)


def inside(minute: int, found: Sequence[Minutes]) -> bool:
    return any(starts <= minute < ends for starts, ends in found)


def state_of(world: World, minute: int) -> tuple[str, str | None]:
    """The definition, minute by minute."""
    if minute in world.rows:
        return "present", None
    if inside(minute, world.covered):
        return ("outage" if inside(minute, world.outages) else "empty"), None
    if inside(minute, [span for span, runs in world.leases if runs]):
        return "fetching", "fetch 1 asks for it now"
    for number, (span, is_open) in reversed([*enumerate(world.errors)]):  # the newest failure speaks
        if is_open and inside(minute, [span]):
            return "failed", f"Rejected: number {number}"
    if inside(minute, world.planned):
        return "not_asked", "planned in fetch 1"
    wanted = inside(minute, world.wanted)
    return "not_asked", "wanted, but no fetch is at it" if wanted else "nobody wanted it yet"


def truth(world: World) -> dict[int, tuple[str, str | None]]:
    known = [starts for starts, _ in (*world.covered, *world.wanted)]
    listed = world.listed if world.listed is not None else min(known, default=LENGTH)
    starts, ends = world.asked
    return {minute: state_of(world, minute) for minute in range(max(starts, listed), min(ends, world.now))}


def at(minute: int) -> int:
    return T0 + minute * MINUTE_MS


def span_of(minutes: Minutes) -> Span:
    return Span(at(minutes[0]), at(minutes[1]))


async def build(connection: Any, world: World) -> None:
    listed = None if world.listed is None else at(world.listed) + 7_000  # in the midst of its minute
    await connection.execute("UPDATE symbol_exchange SET listed_at = $1", listed)
    for minute in world.rows:
        await connection.execute("INSERT INTO candles VALUES (1, $1, 1, 1, 1, 1, 1, NULL, NULL, 3)", at(minute))
    await cover_on(connection, [(1, span_of(span)) for span in world.covered])
    for span in world.wanted:
        await connection.execute(
            "INSERT INTO coverage (symbol_id, wanted) VALUES (1, tstzmultirange(tstzrange($1, $2))) "
            "ON CONFLICT (symbol_id) DO UPDATE SET wanted = coverage.wanted + excluded.wanted",
            *span_of(span),
        )
    outage = "INSERT INTO exchange_outages (exchange, span, symbols, evidence, found_at) "
    for span in world.outages:
        await connection.execute(outage + "VALUES ('bitfinex', tstzrange($1, $2), '{1}', '', $1)", *span_of(span))
    await connection.execute(outage + "VALUES ('mtgox', tstzrange($1, $2), '{9}', '', $1)", T0, at(LENGTH))
    await plan(connection, world)


async def plan(connection: Any, world: World) -> None:
    job = "INSERT INTO fetch_jobs (id, exchange, span, state, created_at) OVERRIDING SYSTEM VALUE VALUES "
    whole = at(0), at(LENGTH)
    await connection.execute(job + "(1, 'bitfinex', tstzrange($1, $2), 'running', $1)", *whole)
    await connection.execute(job + "(2, 'bitfinex', tstzrange($1, $2), 'cancelled', $1)", *whole)
    left = "INSERT INTO fetch_job_symbols VALUES (2, 1, tstzmultirange(tstzrange($1, $2)))"
    await connection.execute(left, *whole)
    for span in world.planned:
        await connection.execute(
            "INSERT INTO fetch_job_symbols VALUES (1, 1, tstzmultirange(tstzrange($1, $2))) "
            "ON CONFLICT (job_id, symbol_id) "
            "DO UPDATE SET remaining = fetch_job_symbols.remaining + excluded.remaining",
            *span_of(span),
        )
    lease = "INSERT INTO fetch_leases (job_id, symbol_id, span, expires_at, worker) "
    for span, runs in world.leases:
        await connection.execute(
            lease + "VALUES (1, 1, tstzrange($1, $2), $3, '')",
            *span_of(span),
            at(world.now) + (30_001 if runs else 30_000),
        )
    for number, (span, is_open) in enumerate(world.errors):
        await connection.execute(
            "INSERT INTO ohlcvs_errors (exchange, symbol, start_date, end_date, time_frame, exception_class, "
            "exception_message, symbol_id, first_at, last_at, repaired_at) "
            "VALUES ('bitfinex', 'BTCUSD', $1, $2, $3, 'Rejected', $4, $5, $6, $6, $7)",
            *span_of(span),
            str(number),
            f"number {number}",
            1 if number % 2 else None,
            at(number),
            None if is_open else at(number),
        )


@pytest.fixture
async def tier_database(tier: Tier, tier_url: str) -> AsyncIterator[Database]:
    opened = open_tier(tier_url, tier)
    await SymbolStore(opened).upsert("bitfinex", [BTC], T0)
    yield opened
    await opened.close()


@pytest.mark.timeout(300)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds)
async def test_each_minute_has_exactly_one_state_on_every_tier(tier_database: Database, world: World) -> None:
    async with tier_database.connection() as connection:
        change = connection.transaction()
        await change.start()
        try:
            await build(connection, world)
            asked = 1, *span_of(world.asked), at(world.now) + 30_000
            rows = await connection.fetch(STATES, *asked)
            totals = dict(await connection.fetch("SELECT * FROM minute_totals($1, $2, $3, $4)", *asked))
        finally:
            await change.rollback()
    told = [(minute, (row[2], row[3])) for row in rows for minute in range(row[0], row[1], MINUTE_MS)]
    wanted = {at(minute): state for minute, state in truth(world).items()}
    assert told == sorted(wanted.items())  # none twice, none left out, none beyond
    assert totals == Counter(state for state, _ in wanted.values())


async def test_gaps_are_wanted_minutes_that_are_not_settling_any_more(database: Database) -> None:
    """The view tells them by name, with what is done about them."""
    await SymbolStore(database).upsert("bitfinex", [BTC], T0)
    async with database.begin() as connection:
        minute = await connection.fetchval("SELECT present_minute()")
        starts = minute - 60 * MINUTE_MS
        await want_on(connection, {1: Span(starts, minute)})
        await cover_on(connection, [(1, Span(starts + 10 * MINUTE_MS, starts + 20 * MINUTE_MS))])
        lease = "INSERT INTO fetch_leases (job_id, symbol_id, span, expires_at, worker) VALUES "
        job = "INSERT INTO fetch_jobs (exchange, span, created_at) VALUES ('bitfinex', tstzrange($1, $2), $1)"
        await connection.execute(job, starts, minute)
        page = starts + 50 * MINUTE_MS, starts + 52 * MINUTE_MS, minute + 120_000
        await connection.execute(lease + "(1, 1, tstzrange($1, $2), $3, '')", *page)
        rows = await connection.fetch("SELECT * FROM gaps ORDER BY starts")
    place = "bitfinex", "spot", "BTC", "USD"
    nobody, asks = ("not_asked", "wanted, but no fetch is at it"), ("fetching", "fetch 1 asks for it now")
    bounds = [(0, 10, nobody), (20, 50, nobody), (50, 52, asks), (52, 55, nobody)]
    assert [tuple(row) for row in rows] == [
        (*place, starts + first * MINUTE_MS, starts + last * MINUTE_MS, last - first, *told)
        for first, last, told in bounds
    ]
