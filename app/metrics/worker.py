"""What a worker process tells of its tasks, and whoever orders tasks of those."""

import time
from collections import Counter

from app.metrics.scrape import Scrape, counter, spread
from common.histogram import LONG_SECONDS, Histogram

ORDER_FIGURES = {"candlehouse_orders_total": counter("Messages that the process has sent to the workers", "task")}
FIGURES = {
    **ORDER_FIGURES,
    "candlehouse_tasks_total": counter("Tasks that have ended, by how", "task", "outcome"),
    "candlehouse_task_seconds": spread("How long they took", "task"),
    "candlehouse_task_wait_seconds": spread("How long a message was due before its task began", "queue"),
    "candlehouse_heal_seconds": spread(
        "From the feed's return until REST had answered for all it may have missed", "exchange"
    ),
}


class WorkFigures:
    """Counted as it happens. The seconds of heals are the Clock's, all others real."""

    def __init__(self) -> None:
        self._orders: Counter[str] = Counter()
        self._ended: Counter[tuple[str, str]] = Counter()
        self._seconds: dict[str, Histogram] = {}
        self._waits: dict[str, Histogram] = {}
        self._heals: dict[str, Histogram] = {}
        self._began_s: dict[str, float] = {}

    def ordered(self, task: str) -> None:
        self._orders[task] += 1

    def began(self, task_id: str, queue: str, due_ms: int | None) -> None:
        """`due_ms` is None where nobody knows since when the message could have been taken."""
        self._began_s[task_id] = time.perf_counter()
        if due_ms is not None:
            waited_s = max(0.0, time.time() - due_ms / 1000)
            self._waits.setdefault(queue, Histogram(LONG_SECONDS)).add(waited_s)

    def ended(self, task_id: str, task: str, outcome: str) -> None:
        self._ended[task, outcome] += 1
        if (began_s := self._began_s.pop(task_id, None)) is not None:
            self._seconds.setdefault(task, Histogram(LONG_SECONDS)).add(time.perf_counter() - began_s)

    def healed(self, exchange: str, seconds: float) -> None:
        self._heals.setdefault(exchange, Histogram(LONG_SECONDS)).add(max(0.0, seconds))

    def tell_orders(self, scrape: Scrape) -> None:
        for task, count in list(self._orders.items()):
            scrape.add("candlehouse_orders_total", count, task=task)

    def tell(self, scrape: Scrape) -> None:
        """From another thread than the tasks', who may add to all this meanwhile."""
        self.tell_orders(scrape)
        for (task, outcome), count in list(self._ended.items()):
            scrape.add("candlehouse_tasks_total", count, task=task, outcome=outcome)
        for task, values in list(self._seconds.items()):
            scrape.spread("candlehouse_task_seconds", values, task=task)
        for queue, values in list(self._waits.items()):
            scrape.spread("candlehouse_task_wait_seconds", values, queue=queue)
        for exchange, values in list(self._heals.items()):
            scrape.spread("candlehouse_heal_seconds", values, exchange=exchange)
