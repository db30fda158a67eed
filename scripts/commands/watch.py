"""Watch jobs from a terminal until they end, and say how they ended."""

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.stores.budget import budget_state
from app.stores.plan import Progress
from celery_app.configuration import queue_of
from celery_app.orders import served_queues
from common.errors import Retryable
from scripts.commands.desk import Desk
from scripts.commands.progress import Display, Rates, Standing, counted, waits

#: Real seconds within which a worker that is there answers; between two questions; between looks at the plan.
WORKER_S, ASK_EVERY_S, POLL_S = 2.5, 5.0, 0.5

_SUMS = ("minutes_total", "minutes_left", "rows_written", "requests", "leased", "errors")
_ORDER = ("running", "queued", "cancelled", "failed", "done")


@dataclass(frozen=True, slots=True)
class Watch:
    """`jobs` are by exchange; `what` is how people call them all together."""

    desk: Desk
    jobs: Mapping[str, list[int]]
    what: str
    shown: Display

    async def until_over(self) -> int:
        """The exit status: 0 when every minute was answered."""
        lookout = _Lookout({queue_of(exchange) for exchange in self.jobs})
        rates = {exchange: Rates() for exchange in self.jobs}
        with self.shown as shown:
            while True:
                absent = lookout.absent()
                standings = [await self._standing(name, rates[name], absent) for name in self.jobs]
                shown.show(standings)
                total = summed([one.progress for one in standings])
                if total.state not in ("queued", "running"):
                    break
                if absent and waits(total):
                    return self._nobody(sorted(absent))
                await asyncio.sleep(POLL_S)
        return self._over(total)

    def names(self) -> str:
        numbers = [str(number) for jobs in self.jobs.values() for number in jobs]
        return ("Job " if len(numbers) == 1 else "Jobs ") + ", ".join(numbers)

    async def _standing(self, exchange: str, rates: Rates, absent: set[str]) -> Standing:
        progress = summed([await self.desk.stores.plan.progress(number) for number in self.jobs[exchange]])
        waiting = await self._limit(exchange) or progress.note
        return Standing(exchange, progress, rates.of(progress), waiting, queue_of(exchange) in absent)

    async def _limit(self, exchange: str) -> str:
        """What keeps requests back; nothing where Redis does not say."""
        desk = self.desk
        try:
            found = await budget_state(desk.redis, exchange, desk.clock, desk.settings.egress_address)
        except Retryable:
            return ""
        return found.sentence

    def _nobody(self, queues: list[str]) -> int:
        exchange = queues[0].removesuffix("_rest")
        self.shown.say(
            f"No worker serves the queue {', '.join(queues)}. {self.names()} will start with the first one: make"
            f" up, or celery -A celery_app.celery_main worker -Q {queues[0]} -n {exchange}RestWorker@h -l INFO",
            status=1,
        )
        return 1

    def _over(self, total: Progress) -> int:
        facts = f"{counted(total.rows_written, 'candle')} with {counted(total.requests, 'request')}"
        if total.state == "cancelled":
            sentence = f"{self.names()} was cancelled: {self.what}, {facts}."
        elif total.state == "failed" or total.errors:
            sentence = (
                f"Ended with failures: {self.what}, {facts}, {counted(total.errors, 'page')} failed."
                " The table ohlcvs_errors and the worker's log say why; the same fetch asks for them again."
            )
        else:
            self.shown.say(f"Complete: {self.what}, {facts}.", status=0)
            return 0
        self.shown.say(sentence, status=1)
        return 1


def summed(each: Sequence[Progress]) -> Progress:
    """Jobs as if they were one, which runs while any of them does."""
    state = min((one.state for one in each), key=_ORDER.index)
    note = next((one.note for one in each if one.note), "")
    return Progress(state=state, note=note, **{name: sum(getattr(one, name) for one in each) for name in _SUMS})


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
