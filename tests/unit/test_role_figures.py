"""What a role counts becomes the figures that its reference names."""

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import stream, update, worker
from app.metrics.scrape import Collect, Figures, Scrape
from celery_app import counting
from common.clock import Clock
from common.errors import Retryable
from tests.fixtures.live import message
from tests.fixtures.web import NOW_MS, SetClock


def told(figures: Figures, collect: Collect) -> dict[str, float]:
    """`name{label=value}` -> value of every sample that is not 0; of histograms the number and the sum."""
    scrape = Scrape(figures)
    collect(scrape)
    found = {}
    for family in text_string_to_metric_families(scrape.text("")[0].decode()):
        for one in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(one.labels.items()))
            if one.value and not one.name.endswith("_bucket"):
                found[f"{one.name}{{{labels}}}"] = one.value
    return found


async def test_a_feed_counts_what_comes_and_times_what_goes() -> None:
    clock = SetClock()
    feed = stream.FeedFigures("okx", clock)
    feed.traffic.frames, feed.traffic.bytes, feed.traffic.candles = 7, 700, 5
    feed.opened, feed.lost = 3, 1
    feed.came_back(NOW_MS - 12_000)
    written = []

    async def write(batch: Any) -> None:
        written.append(batch)
        clock.set(NOW_MS + 30)

    batch = [message(0), message(1)]
    clock.set(batch[0].received + 40)
    waiting = clock.now_ms()
    await feed.timed(write, batch)
    clock.set(NOW_MS)
    found = told(stream.FIGURES, lambda scrape: feed.tell(scrape, 2, 60, 4, NOW_MS - 1_500))
    assert written == [batch] and waiting == batch[0].received + 40
    assert found.pop("candlehouse_feed_write_seconds_sum{exchange=okx}") < 5
    delay_s = (NOW_MS + 30 - batch[0].received) / 1000
    assert found == {
        f"candlehouse_feed_{name}{{exchange=okx}}": value
        for name, value in {
            "frames_total": 7,
            "bytes_total": 700,
            "candles_total": 5,
            "opened_total": 3,
            "lost_total": 1,
            "connections": 2,
            "markets": 60,
            "buffer_candles": 4,
            "silent_seconds": 1.5,
            "away_seconds_count": 1,
            "away_seconds_sum": 12,
            "write_seconds_count": 1,
            "delay_seconds_count": 1,
            "delay_seconds_sum": delay_s,
        }.items()
    }


async def test_a_write_that_fails_is_not_counted_and_silence_before_the_first_candle_is_not_told() -> None:
    feed = stream.FeedFigures("okx", Clock())

    async def write(batch: Any) -> None:
        raise Retryable("away")

    with pytest.raises(Retryable):
        await feed.timed(write, [message(0)])
    assert told(stream.FIGURES, lambda scrape: feed.tell(scrape, 0, 0, 0, 0)) == {}


def test_an_updater_counts_candles_transactions_and_what_cannot_be_stored() -> None:
    figures = update.UpdateFigures()
    figures.committed(40, 0, 0.25, 3.0)
    figures.committed(2, 1, 0.5, 1.0)
    figures.unstorable += 1
    assert told(update.FIGURES, figures.tell) == {
        "candlehouse_update_commit_seconds_count{}": 2,
        "candlehouse_update_commit_seconds_sum{}": 0.75,
        "candlehouse_update_batch_candles_count{}": 2,
        "candlehouse_update_batch_candles_sum{}": 42,
        "candlehouse_update_candles_total{}": 42,
        "candlehouse_update_refused_total{}": 1,
        "candlehouse_update_unstorable_total{}": 1,
        "candlehouse_update_delay_seconds_count{}": 2,
        "candlehouse_update_delay_seconds_sum{}": 4,
    }


def task(name: str, eta: str | None, headers: dict[str, Any]) -> Any:
    """As Celery hands it to its signals: what a message's headers say are attributes of the request."""
    request = SimpleNamespace(eta=eta, delivery_info={"routing_key": "okx_rest"}, **headers)
    return SimpleNamespace(name=f"celery_app.tasks.{name}", request=request)


def test_a_message_waits_from_when_it_was_ordered_or_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "OWN", own := worker.WorkFigures())
    now_s = time.time()
    monkeypatch.setattr(time, "time_ns", lambda: round((now_s - 100) * 1e9))
    headers: dict[str, Any] = {"ordered_ms": 1}
    counting._order("celery_app.tasks.heal", headers)
    monkeypatch.undo()
    monkeypatch.setattr(counting, "OWN", own)
    due = (datetime.fromtimestamp(now_s, UTC) - timedelta(seconds=10)).isoformat()
    for number, one in enumerate((task("heal", None, headers), task("reconcile_slice", due, headers))):
        counting._begin(str(number), one)
        counting._end(str(number), one, state="SUCCESS" if number else "RETRY")
    counting._begin("x", unstamped := task("heal", None, {}))
    counting._end("x", unstamped, state="IGNORED")
    found = told(worker.FIGURES, own.tell)
    assert 110 <= found.pop("candlehouse_task_wait_seconds_sum{queue=okx_rest}") < 120
    assert {name: value for name, value in found.items() if "_sum" not in name} == {
        "candlehouse_orders_total{task=heal}": 1,
        "candlehouse_tasks_total{outcome=retry,task=heal}": 1,
        "candlehouse_tasks_total{outcome=ignored,task=heal}": 1,
        "candlehouse_tasks_total{outcome=success,task=reconcile_slice}": 1,
        "candlehouse_task_seconds_count{task=heal}": 2,
        "candlehouse_task_seconds_count{task=reconcile_slice}": 1,
        "candlehouse_task_wait_seconds_count{queue=okx_rest}": 2,
    }


def test_heals_are_counted_by_exchange() -> None:
    figures = worker.WorkFigures()
    for exchange, seconds in (("okx", 4.0), ("okx", 2.0), ("kraken", 9.0)):
        figures.healed(exchange, seconds)
    assert told(worker.FIGURES, figures.tell) == {
        "candlehouse_heal_seconds_count{exchange=okx}": 2,
        "candlehouse_heal_seconds_sum{exchange=okx}": 6,
        "candlehouse_heal_seconds_count{exchange=kraken}": 1,
        "candlehouse_heal_seconds_sum{exchange=kraken}": 9,
    }
