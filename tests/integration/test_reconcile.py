"""Asking REST for the recent past of what is streamed: holes heal, wrong minutes are corrected and announced."""

from collections.abc import AsyncIterator, Sequence

import pytest

from app.happening import Kind
from app.jobs.reconcile import FARTHEST_BACK_MS, Reconcile
from app.messages import CandleMessage, decode
from app.stores.errors import FetchError
from app.stores.heartbeat import healing_since_ms, ring, rung
from app.stores.latest import LiveSink
from app.stores.symbols import StoredSymbol
from celery_app import slices
from celery_app.worker_loop import Resources
from common.errors import Retryable
from common.market import Source
from common.span import MINUTE_MS, Span
from fetchers import registry
from tests.fixtures.instance import Instance, open_instance
from tests.fixtures.simulator import Simulator, simulator

__all__ = ["simulator"]


@pytest.fixture
async def instance(simulator: Simulator, postgres_url: str, redis_url: str) -> AsyncIterator[Instance]:
    async with open_instance(simulator, postgres_url, redis_url) as opened:
        yield opened


def reconcile(instance: Instance, markets: Sequence[StoredSymbol], allowance: float = float("inf")) -> Reconcile:
    exchange, r = registry.get(markets[0].instrument.exchange), instance.resources
    streamed = {one.id: one.instrument for one in markets}
    return Reconcile(exchange, streamed, r.get(exchange), r.stores, r.sink, r.clock, 15, allowance)


def this_minute(instance: Instance) -> int:
    return instance.resources.clock.now_ms() // MINUTE_MS * MINUTE_MS


def markets_left(markets: Sequence[StoredSymbol], left: Sequence[int]) -> list[str]:
    return [one.instrument.native for number in left for one in markets if one.id == number]


async def pushed(instance: Instance, exchange: str) -> list[CandleMessage]:
    entries = await instance.resources.redis.xrange(f"live_{exchange}")
    return [decode(fields[b"candle"]) for _, fields in entries]


@pytest.mark.parametrize("exchange", registry.names())
async def test_a_hole_in_the_feed_is_asked_for_and_only_once(instance: Instance, exchange: str) -> None:
    (market,) = await instance.know(exchange, "BTC/USDT")
    hole = Span(this_minute(instance) - 200 * MINUTE_MS, this_minute(instance) - 100 * MINUTE_MS)
    await instance.resources.stores.coverage.want({market.id: hole})
    assert await reconcile(instance, [market]).run(20) == []
    # Wanted since the hole began: what came after it was never covered either.
    since = Span(hole.start_ms, this_minute(instance) - 3 * MINUTE_MS)
    assert await instance.rows(market.id, since) == instance.truth(market, since)
    assert await instance.resources.stores.coverage.missing([market.id], since) == {market.id: []}
    asked = len(instance.candle_requests())
    await reconcile(instance, [market]).run(20)
    spans = instance.candle_requests()[asked:]
    assert len(spans) == 1, "the second pass asks for the window alone"


async def test_what_only_the_feed_told_is_confirmed_and_a_wrong_closed_candle_is_announced(
    instance: Instance,
) -> None:
    (market,) = await instance.know("binance", "BTC/USDT")
    span = Span(this_minute(instance) - 6 * MINUTE_MS, this_minute(instance) - 4 * MINUTE_MS)
    await instance.fill([market], span)
    wrong, right = instance.truth(market, span)
    async with instance.resources.stores.db.connection() as connection:
        await connection.execute("UPDATE candles SET source = $1", Source.CLOSING_MESSAGE)
        await connection.execute("UPDATE candles SET high = high * 2 WHERE time = $1", wrong[0])
    await reconcile(instance, [market]).run(20)
    assert await instance.rows(market.id, span) == [wrong, right]
    corrections = [one for one in await pushed(instance, "binance") if span.has(one.time)]
    assert [(one.time, one.high, one.corrected, one.closed) for one in corrections] == [
        (wrong[0], wrong[2], True, True)
    ]


async def test_a_correction_that_nobody_could_be_told_of_is_found_again_and_told(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis goes away between the answer and the telling."""
    (market,) = await instance.know("binance", "BTC/USDT")
    span = Span(this_minute(instance) - 6 * MINUTE_MS, this_minute(instance) - 4 * MINUTE_MS)
    await instance.fill([market], span)
    async with instance.resources.stores.db.connection() as connection:
        await connection.execute("UPDATE candles SET high = high * 2 WHERE time = $1", span.start_ms)
    wrong = await instance.rows(market.id, span)

    async def away(self: LiveSink, messages: object) -> None:
        raise Retryable("Redis does not serve")

    with monkeypatch.context() as patched, pytest.raises(Retryable):
        patched.setattr(LiveSink, "write", away)
        await reconcile(instance, [market]).run(20)
    assert await instance.rows(market.id, span) == wrong, "nothing is stored that nobody was told of"
    await reconcile(instance, [market]).run(20)
    assert await instance.rows(market.id, span) == instance.truth(market, span)
    told = [one for one in await pushed(instance, "binance") if span.has(one.time)]
    assert [(one.time, one.corrected) for one in told] == [(span.start_ms, True)]


async def test_minutes_that_the_feed_missed_are_told_to_those_who_watch_and_counted_as_healed(
    instance: Instance,
) -> None:
    """They may have been told a part of one, and that it was over; even before an hour without a database."""
    (market,) = await instance.know("binance", "BTC/USDT")
    hole = Span(this_minute(instance) - 93 * MINUTE_MS, this_minute(instance) - 3 * MINUTE_MS)
    await instance.resources.stores.coverage.want({market.id: hole})
    slice_ = reconcile(instance, [market])
    await slice_.run(20)
    told = [one for one in await pushed(instance, "binance") if hole.has(one.time)]
    watched = [row for row in instance.truth(market, hole) if row[0] >= this_minute(instance) - 89 * MINUTE_MS]
    assert [[one.time, one.open, one.high, one.low, one.close, one.volume] for one in told] == watched
    assert {(one.closed, one.corrected) for one in told} == {(True, True)}
    (healed,) = slice_.told()
    assert (healed.kind, healed.facts["markets"], healed.facts["minutes"] >= 90) == (Kind.HEALED, 1, True)
    again = reconcile(instance, [market])
    await again.run(20)
    assert again.told() == []


async def test_a_minute_that_is_just_over_and_that_nobody_has_stored_is_told_too(instance: Instance) -> None:
    """Its end may have come while the feed was away, and nothing would ever correct what was told of it."""
    (market,) = await instance.know("binance", "BTC/USDT")
    over = Span(this_minute(instance) - MINUTE_MS, this_minute(instance))
    slice_ = reconcile(instance, [market])
    await slice_.run(20)
    told = [one.time for one in await pushed(instance, "binance")]
    assert over.start_ms in told and max(told) == over.start_ms, "the minute under way is the feed's"


async def test_the_most_traded_market_with_a_hole_comes_first_and_the_half_of_the_budget_is_the_end(
    instance: Instance,
) -> None:
    markets = await instance.know("binance", "LTC/BTC", "XLM/BTC", "ETH/USDT", "BTC/USDT")
    day = Span(this_minute(instance) - 300 * MINUTE_MS, this_minute(instance) - 60 * MINUTE_MS)
    await instance.fill(markets, day)
    await reconcile(instance, markets).run(20)
    instance.simulator.clear_log()
    # A minute that nobody confirmed, in the least traded one.
    lost = Span(this_minute(instance) - 9 * MINUTE_MS, this_minute(instance) - 8 * MINUTE_MS)
    async with instance.resources.stores.db.connection() as connection:
        await connection.execute(
            "UPDATE candles SET source = 2 WHERE symbol_id = $1 AND time = $2", markets[1].id, lost[0]
        )
    left = await reconcile(instance, markets, allowance=4).run(20)
    asked = [entry["query"].split("symbol=")[1].split("&")[0] for entry in instance.candle_requests()]
    # Two requests of weight 2: first the hole, then the most traded; an alt coin in bitcoins is worth the least.
    assert asked[0] == "XLMBTC" and {asked[1], markets_left(markets, left)[0]} == {"BTCUSDT", "ETHUSDT"}
    assert markets_left(markets, left)[1] == "LTCBTC" and len(left) == 2


async def test_a_market_of_which_only_a_part_was_answered_is_left_for_the_next_slice(instance: Instance) -> None:
    (market,) = await instance.know("binance", "BTC/USDT")
    hole = Span(this_minute(instance) - 2500 * MINUTE_MS, this_minute(instance) - 3 * MINUTE_MS)
    await instance.resources.stores.coverage.want({market.id: hole})
    left = await reconcile(instance, [market], allowance=2).run(20)
    assert (left, len(instance.candle_requests())) == ([market.id], 1), "a page is a thousand minutes"
    assert await reconcile(instance, [market]).run(60, left) == []
    assert await instance.rows(market.id, hole) == instance.truth(market, hole)


async def test_markets_are_asked_for_side_by_side_once_the_first_was_answered(instance: Instance) -> None:
    """With a fifth of a second there and back, ten seconds would otherwise be too short for fifty markets."""
    markets = await instance.know("binance", "LTC/BTC", "XLM/BTC", "ETH/USDT", "BTC/USDT")
    instance.simulator.fault("binance", "slow", seconds=2)
    assert await reconcile(instance, markets).run(60) == []
    first, *others = (int(one["received_ms"]) for one in instance.candle_requests())
    assert (len(others), min(others) - first >= 2000) == (3, True)
    assert max(others) - min(others) < 2000, "nobody waited for another's answer"
    recent = Span(this_minute(instance) - 14 * MINUTE_MS, this_minute(instance) - 3 * MINUTE_MS)
    for one in markets:
        assert await instance.rows(one.id, recent) == instance.truth(one, recent)


async def test_a_market_never_streamed_is_wanted_from_now_on_and_a_long_silence_is_left_to_fetch(
    instance: Instance,
) -> None:
    markets = await instance.know("bitfinex", "BTC/USDT", "ETH/USDT")
    long_ago = Span(
        this_minute(instance) - 2 * FARTHEST_BACK_MS, this_minute(instance) - 2 * FARTHEST_BACK_MS + MINUTE_MS
    )
    await instance.resources.stores.coverage.want({markets[1].id: long_ago})
    await reconcile(instance, markets).run(20)
    wanted = await instance.resources.stores.coverage.wanted([one.id for one in markets])
    first = [spans[-1] for spans in wanted.values()]
    assert [span.minutes() for span in first] == [1, 1]
    assert wanted[markets[1].id][0] == long_ago


async def test_what_cannot_be_asked_is_told_does_not_stop_the_others_and_is_asked_again(
    instance: Instance,
) -> None:
    markets = await instance.know("binance", "BTC/USDT", "ETH/USDT")
    instance.simulator.fault("binance", "truncate", count=1)
    assert await reconcile(instance, markets).run(20) == []
    assert await instance.resources.stores.errors.open_count("binance") == 1
    settled = Span(this_minute(instance) - 14 * MINUTE_MS, this_minute(instance) - 3 * MINUTE_MS)
    held = [await instance.rows(one.id, settled) == instance.truth(one, settled) for one in markets]
    assert sorted(held) == [False, True]
    # The window of a market that answered nothing is not wanted yet; whoever wants it gets it repaired.
    lost = markets[held.index(False)]
    await instance.resources.stores.coverage.want({lost.id: settled})
    assert await reconcile(instance, markets).run(20) == []
    assert await instance.rows(lost.id, settled) == instance.truth(lost, settled)


async def test_a_failure_is_over_once_a_pass_has_its_minutes(instance: Instance) -> None:
    (market,) = await instance.know("binance", "BTC/USDT")
    lost = Span(this_minute(instance) - 30 * MINUTE_MS, this_minute(instance) - 20 * MINUTE_MS)
    errors = instance.resources.stores.errors
    await instance.resources.stores.coverage.want({market.id: lost})
    failed = FetchError("binance", "BTCUSDT", lost, "Malformed", "cut short", None, symbol_id=market.id)
    await errors.record(failed, instance.resources.clock.now_ms())
    assert await errors.open_count("binance") == 1
    await reconcile(instance, [market]).run(20)
    assert await errors.open_count("binance") == 0


async def test_where_this_network_is_refused_a_pass_ends_at_the_first_market(instance: Instance) -> None:
    markets = await instance.know("binance", "BTC/USDT", "ETH/USDT", "LTC/BTC")
    instance.simulator.fault("binance", "geo_block", status=403)
    assert await reconcile(instance, markets).run(20) == []
    assert len(instance.candle_requests()) == 1
    assert await instance.resources.stores.errors.open_count("binance") == 1


async def test_a_reconnect_rings_once(instance: Instance) -> None:
    redis = instance.resources.redis
    await ring(redis, "binance", 1)
    await ring(redis, "binance", 1)
    assert [await rung(redis, "binance"), await rung(redis, "binance")] == [True, False]


async def test_a_heal_is_timed_from_the_ring_until_its_pass_has_every_answer(instance: Instance) -> None:
    r = instance.resources
    await instance.know("binance", "BTC/USDT")
    await ring(r.redis, "binance", r.clock.now_ms() - 4_000_000)
    instance.simulator.fault("binance", "truncate", count=1)
    await one_pass(r)
    assert r.figures._heals == {}, "one market had no answer"
    await ring(r.redis, "binance", r.clock.now_ms())
    await one_pass(r)
    assert await healing_since_ms(r.redis, "binance") is None
    assert r.figures._heals["binance"].cumulative()[-1][1] == 1
    assert r.figures._heals["binance"].sum >= 4_000, "from the first ring"


async def test_who_reconnects_is_healed_at_once_though_a_pass_waits_that_had_no_answer(instance: Instance) -> None:
    r = instance.resources
    (market,) = await instance.know("binance", "BTC/USDT")
    await ring(r.redis, "binance", r.clock.now_ms())
    failed = await slices.begin_healing(r, "binance")
    assert failed
    instance.simulator.fault("binance", "maintenance")
    with pytest.raises(Retryable):
        await slices.reconcile(r, "binance", failed, None)
    assert len(instance.candle_requests()) == 2, "the worker does not wait for an exchange that is away"
    instance.simulator.fault("binance", "maintenance", on=False)
    await ring(r.redis, "binance", r.clock.now_ms())
    await one_pass(r)
    last = this_minute(instance) - 2 * MINUTE_MS
    span = Span(last - 10 * MINUTE_MS, last)
    assert await instance.rows(market.id, span) == instance.truth(market, span)
    assert await slices.reconcile(r, "binance", failed, None) == ([], 0), "its message is too late"


async def one_pass(r: Resources) -> None:
    left: list[int] | None = None
    token = await slices.begin_healing(r, "binance")
    assert token
    while left or left is None:
        left, _ = await slices.reconcile(r, "binance", token, left)
