"""Watch jobs from a terminal until they end, and say how they ended."""

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console

from app.stores.plan import PlanStore, Progress
from celery_app.configuration import queue_of
from celery_app.orders import served_queues
from common.errors import Retryable
from scripts.commands.progress import counted, display, waits

#: Real seconds within which a worker that is there answers; between two questions; between looks at the plan.
WORKER_S, ASK_EVERY_S, POLL_S = 2.5, 5.0, 0.5

_SUMS = ("minutes_total", "minutes_left", "rows_written", "requests", "leased", "errors")


@dataclass(frozen=True, slots=True)
class Watch:
    """`jobs` are by exchange; `what` is how people call them all together."""

    plans: PlanStore
    jobs: Mapping[str, list[int]]
    what: str
    console: Console

    async def until_over(self) -> int:
        """The exit status: 0 when every minute was answered."""
        lookout = _Lookout({queue_of(exchange) for exchange in self.jobs})
        with display(self.console, self.what) as shown:
            while True:
                standing = await self._standing()
                absent = lookout.absent()
                shown.show(standing, absent=bool(absent))
                if standing.state not in ("queued", "running"):
                    break
                if absent and waits(standing):
                    return self._nobody(sorted(absent))
                await asyncio.sleep(POLL_S)
        return self._over(standing)

    def say(self, sentence: str) -> None:
        self.console.print(sentence, soft_wrap=True, highlight=False, markup=False)

    def names(self) -> str:
        numbers = [str(number) for jobs in self.jobs.values() for number in jobs]
        return ("Job " if len(numbers) == 1 else "Jobs ") + ", ".join(numbers)

    async def _standing(self) -> Progress:
        """The jobs as if they were one, which runs while any of them does."""
        each = [await self.plans.progress(number) for jobs in self.jobs.values() for number in jobs]
        states = sorted(
            (one.state for one in each), key=("running", "queued", "cancelled", "failed", "done").index
        )
        return Progress(state=states[0], **{name: sum(getattr(one, name) for one in each) for name in _SUMS})

    def _nobody(self, queues: list[str]) -> int:
        exchange = queues[0].removesuffix("_rest")
        self.say(
            f"No worker serves the queue {', '.join(queues)}. {self.names()} will start with the first one: make"
            f" up, or celery -A celery_app.celery_main worker -Q {queues[0]} -n {exchange}RestWorker@h -l INFO"
        )
        return 1

    def _over(self, standing: Progress) -> int:
        facts = f"{counted(standing.rows_written, 'candle')} with {counted(standing.requests, 'request')}"
        if standing.state == "cancelled":
            self.say(f"{self.names()} was cancelled: {self.what}, {facts}.")
        elif standing.errors:
            self.say(
                f"Ended with failures: {self.what}, {facts}, {counted(standing.errors, 'page')} failed."
                " The table ohlcvs_errors and the worker's log say why; the same fetch asks for them again."
            )
        else:
            self.say(f"Complete: {self.what}, {facts}.")
            return 0
        return 1


class _Lookout:
    """Asks now and then, beside everything else, whether workers are there; nobody waits for it to end."""

    def __init__(self, queues: set[str]) -> None:
        self._queues = queues
        self._absent: set[str] = set()
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while True:
            try:
                self._absent = self._queues - served_queues(WORKER_S)
            except Retryable:
                self._absent = set()  # the broker is not there to ask; the plan does not need it
            time.sleep(ASK_EVERY_S)

    def absent(self) -> set[str]:
        """The queues that nobody served when last asked."""
        return self._absent
