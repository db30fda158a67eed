"""Celery's configuration, made of our settings when Celery first asks for it."""

from typing import Any

from kombu.entity import Exchange, Queue

from app import wiring
from app.settings import Settings, load_settings
from app.stores import pulse
from fetchers import registry

#: Work that belongs to no exchange; every worker takes it beside the queues that it is told to serve.
COMMON_QUEUE = "all_rest"

#: An unacknowledged message goes to another worker after this long; no task minds being run twice.
VISIBILITY_S = 900

HOUR_S = 3600
DAY_S = 24 * HOUR_S
RESUME_EVERY_S = 60
HEAL_EVERY_S = 30
REPAIR_EVERY_S = 60
ANALYTICS_EVERY_S = 300
OUTAGES_EVERY_S = 900


def queue_of(exchange: str) -> str:
    return f"{exchange}_rest"


def configuration() -> dict[str, Any]:
    """Read the settings; nothing connects yet."""
    settings = load_settings()
    return {
        "broker_url": settings.celery_broker_url,
        "broker_transport": "celery_app.broker:Transport",
        "broker_connection_retry_on_startup": True,
        # A Redis that is full, or cannot save, refuses commands: that is waited out as one that is away.
        "broker_channel_error_retry": True,
        "broker_transport_options": {"visibility_timeout": VISIBILITY_S},
        "task_queues": [_queue(name) for name in (*map(queue_of, wiring.known_exchanges(settings)), COMMON_QUEUE)],
        "task_default_queue": COMMON_QUEUE,
        "task_routes": [route],
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "worker_send_task_events": True,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "enable_utc": True,
        "timezone": "UTC",
        "beat_schedule": schedule(settings),
        # Kept in memory: whatever must not wait for its next turn is also ordered by each starting worker.
        "beat_scheduler": "celery.beat:Scheduler",
    }


def _queue(name: str) -> Any:
    """Bound under its own name; queues left to share the default binding would each get every message."""
    return Queue(name, Exchange(name), routing_key=name)  # type: ignore[no-untyped-call]  # kombu annotates none


def schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """What beat orders, and how often in seconds of the clock."""
    entries: dict[str, dict[str, Any]] = {}
    for exchange in settings.exchange_names:
        for task, every_s in {
            "pulse": pulse.EVERY_S,
            "reconcile": settings.reconcile_every_s,
            "heal": HEAL_EVERY_S,
            "resume": RESUME_EVERY_S,
            "refresh_instruments": HOUR_S,
            "first_fill": HOUR_S,
            "repair": REPAIR_EVERY_S,
            "audit": HOUR_S,
            "seek_outages": OUTAGES_EVERY_S,
        }.items():
            entries[f"{task} {exchange}"] = _entry(task, every_s, settings, [exchange], queue_of(exchange))
    entries["analytics"] = _entry("refresh_analytics", ANALYTICS_EVERY_S, settings, [], COMMON_QUEUE)
    entries["columnstore"] = _entry("pack_history", DAY_S, settings, [], COMMON_QUEUE)
    if settings.retain_minutes_days:
        entries["retention"] = _entry("retain", DAY_S, settings, [], COMMON_QUEUE)
    entries["partitions"] = _entry("ensure_partitions", DAY_S, settings, [], COMMON_QUEUE)
    return entries


def _entry(task: str, every_s: float, settings: Settings, args: list[str], queue: str) -> dict[str, Any]:
    # A message that nobody took by the time of the next one is worth nothing; without workers none pile up.
    real_s = max(1.0, every_s / settings.clock_rate)
    return {
        "task": f"celery_app.tasks.{task}",
        "schedule": real_s,
        "args": args,
        "options": {"queue": queue, "expires": real_s},
    }


def route(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any) -> dict[str, str] | None:
    """The predecessor's task names, `bitfinex_resume_fetch` and so on, go to their exchange's queue."""
    own = name.rsplit(".", 1)[-1].split("_", 1)[0]
    return {"queue": queue_of(own)} if own in registry.names() else None
