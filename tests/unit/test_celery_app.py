"""Celery's application: its queues, its schedule, and where its messages go."""

from functools import partial
from typing import Any

import pytest
from celery.exceptions import Retry

from app.settings import load_settings
from celery_app import tasks
from celery_app.configuration import COMMON_QUEUE, configuration, queue_of, route, schedule
from common.errors import Retryable
from fetchers import registry

REDIS = {"REDIS_URL": "redis://:secret@10.1.2.3:6390/0", "DATABASE_URL": "postgresql://x:y@10.1.2.3/z"}


def test_every_exchange_of_the_registry_has_its_queue_and_messages_are_plain_json(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in REDIS.items():
        monkeypatch.setenv(name, value)
    made = configuration()
    assert {queue.name for queue in made["task_queues"]} == {*map(queue_of, registry.names()), COMMON_QUEUE}
    wanted = {
        "broker_url": "redis://:secret@10.1.2.3:6390/1",
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
    }
    assert {name: made[name] for name in wanted} == wanted


def test_beat_orders_each_exchange_on_its_own_queue_and_lets_untaken_messages_lapse() -> None:
    made = schedule(
        load_settings({**REDIS, "EXCHANGES": "bitfinex", "RECONCILE_EVERY_S": "120"}, dotenv="/nowhere")
    )
    assert made["reconcile bitfinex"] == {
        "task": "celery_app.tasks.reconcile",
        "schedule": 120.0,
        "args": ["bitfinex"],
        "options": {"queue": "bitfinex_rest", "expires": 120.0},
    }
    assert {entry["task"].rsplit(".")[-1] for entry in made.values()} == {
        *("reconcile", "heal", "resume", "refresh_instruments", "first_fill", "seek_outages"),
        *("pulse", "refresh_analytics", "ensure_partitions", "pack_history", "repair", "audit"),
    }
    assert "retention" not in made
    kept = schedule(load_settings({**REDIS, "RETAIN_MINUTES_DAYS": "730"}, dotenv="/nowhere"))
    assert kept["retention"]["task"] == "celery_app.tasks.retain"
    assert {entry["options"]["queue"] for entry in made.values()} == {"bitfinex_rest", "all_rest"}


def test_what_had_no_answer_is_tried_again_in_half_a_minute_and_a_pass_in_five_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in REDIS.items():
        monkeypatch.setenv(name, value)

    def away(_: Any) -> None:
        raise Retryable("binance does not answer")

    monkeypatch.setattr(tasks, "run", away)
    tries: list[tuple[Any, ...]] = [(tasks.reconcile_slice, 5.0, "token", None), (tasks.refresh_instruments, 30.0)]
    for task, countdown_s, *arguments in tries:
        with monkeypatch.context() as patched, pytest.raises(Retry):
            patched.setattr(task, "retry", partial(told_again, countdown_s))
            task.run("binance", *arguments)


def told_again(wanted_s: float, *, exc: Exception, countdown: float) -> Retry:
    assert (str(exc), countdown) == ("binance does not answer", wanted_s)
    return Retry()


def test_the_predecessors_tasks_go_to_their_exchanges_queue() -> None:
    names = [f"celery_app.celery_tasks.{name}" for name in ("bitfinex_resume_fetch", "all_fetch_symbol_data")]
    assert [route(name, (), {}, {}) for name in (*names, "celery_app.tasks.work")] == [
        {"queue": "bitfinex_rest"},
        None,
        None,
    ]
