"""Passes over the recent past: one at a time, begun by a bell, taken up where a worker was lost."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis.asyncio

from app.stores.heartbeat import ring, rung
from celery_app import chain, on_start
from celery_app.celery_main import app
from celery_app.slices import begin_healing, begin_pass, take_up_pass
from celery_app.worker_loop import Resources
from common.clock import Clock
from common.errors import Retryable


def with_redis(client: redis.asyncio.Redis) -> Resources:
    """What these need of a worker's resources."""
    return cast(Resources, SimpleNamespace(redis=client, clock=Clock()))


async def test_a_bell_that_rings_during_a_pass_is_heard_when_the_pass_is_over(
    redis_client: redis.asyncio.Redis,
) -> None:
    worker = with_redis(redis_client)
    under_way = await begin_pass(worker, "binance")
    await ring(redis_client, "binance", 1)
    assert await begin_healing(worker, "binance") is None
    await chain.end(redis_client, chain.of_pass("binance"))
    token = await begin_healing(worker, "binance")
    assert token not in (None, under_way)
    assert not await rung(redis_client, "binance")


async def test_a_pass_that_waits_for_another_try_gives_way_to_the_feed_that_has_reconnected(
    redis_client: redis.asyncio.Redis,
) -> None:
    worker, work = with_redis(redis_client), chain.of_pass("binance")
    waiting = await begin_pass(worker, "binance")
    assert waiting
    await chain.wait(redis_client, work)
    assert await begin_healing(worker, "binance") is None, "nobody has reconnected"
    await ring(redis_client, "binance", 1)
    token = await begin_healing(worker, "binance")
    assert token and not await chain.is_current(redis_client, work, waiting)
    await ring(redis_client, "binance", 1)
    assert await begin_healing(worker, "binance") is None, "it is under way"
    await chain.wait(redis_client, work)
    assert await chain.is_current(redis_client, work, token)
    assert await begin_healing(worker, "binance") is None, "it goes on"


async def test_where_no_bell_rings_nothing_begins(redis_client: redis.asyncio.Redis) -> None:
    assert await begin_healing(with_redis(redis_client), "binance") is None
    assert await begin_pass(with_redis(redis_client), "binance")


async def test_a_pass_whose_message_was_lost_is_taken_up_and_its_message_ends_if_it_comes_after_all(
    redis_client: redis.asyncio.Redis,
) -> None:
    worker = with_redis(redis_client)
    assert await take_up_pass(worker, "binance") is None
    lost = await begin_pass(worker, "binance")
    taken_up = await take_up_pass(worker, "binance")
    assert lost and taken_up
    assert await chain.is_current(redis_client, chain.of_pass("binance"), taken_up)
    assert not await chain.is_current(redis_client, chain.of_pass("binance"), lost)


@pytest.fixture
def ordered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    orders: list[tuple[Any, ...]] = []
    monkeypatch.setattr(on_start, "order", lambda *what: orders.append(what))
    monkeypatch.setattr(on_start, "_served", lambda _: ["binance", "bitfinex"])
    return orders


def test_each_new_connection_of_a_worker_has_lost_jobs_and_passes_gone_on_with(
    ordered: list[tuple[Any, ...]],
) -> None:
    on_start.TakeUp(None).start(SimpleNamespace(app=app))
    of_each = [[("resume", one, True), ("take_up_pass", one)] for one in ("binance", "bitfinex")]
    assert ordered == [*of_each[0], *of_each[1]]
    assert on_start.TakeUp in app.steps["consumer"]


def test_a_worker_starts_though_its_orders_cannot_be_given_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise Retryable("Redis is away")

    monkeypatch.setattr(on_start, "order", refuse)
    monkeypatch.setattr(on_start, "_served", lambda _: ["binance"])
    on_start.TakeUp(None).start(SimpleNamespace(app=app))
