"""Somebody we depend on is away: told once when it begins and once when it ends, and waited for in between."""

import structlog

from common.clock import Clock
from common.errors import CandlehouseError
from fetchers.http import back_off_s

log = structlog.get_logger(__name__)


class Outage:
    """Of `what`, as seen by one job."""

    def __init__(self, what: str, clock: Clock) -> None:
        self._what = what
        self._clock = clock
        self._failures = 0
        #: How many have begun.
        self.count = 0

    async def wait(self, error: CandlehouseError) -> None:
        """Longer after each failure, up to a quarter of a minute or so."""
        if not self._failures:
            self.count += 1
            log.warning("Away; nothing is lost, it is tried again", what=self._what, reason=str(error))
        self._failures += 1
        await self._clock.sleep(min(15, back_off_s(self._failures - 2)))

    def over(self) -> None:
        if self._failures:
            log.info("Back", what=self._what, failures=self._failures)
            self._failures = 0
