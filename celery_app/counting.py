"""Celery's signals as figures of this process; and each message says when it was ordered."""

import time
from datetime import datetime
from typing import Any

from celery import signals

from app.metrics.worker import WorkFigures
from app.stores.backlog import ORDERED_MS

#: Of this process alone.
OWN = WorkFigures()


def begin_anew() -> None:
    """A process of a pool comes with what its parent had counted by then."""
    global OWN
    OWN = WorkFigures()


def _order(sender: str, headers: dict[str, Any], **_: Any) -> None:
    headers[ORDERED_MS] = time.time_ns() // 1_000_000
    OWN.ordered(_short(sender))


def _begin(task_id: str, task: Any, **_: Any) -> None:
    request = task.request
    due_ms = getattr(request, ORDERED_MS, None)
    if due_ms is not None and request.eta:
        due_ms = max(due_ms, round(datetime.fromisoformat(request.eta).timestamp() * 1000))
    OWN.began(task_id, (request.delivery_info or {}).get("routing_key") or "", due_ms)


def _end(task_id: str, task: Any, state: str | None = None, **_: Any) -> None:
    OWN.ended(task_id, _short(task.name), (state or "unknown").lower())


def _short(name: str) -> str:
    return name.rpartition(".")[2]


signals.before_task_publish.connect(_order)
signals.task_prerun.connect(_begin)
signals.task_postrun.connect(_end)
