"""Bring what happened from Redis into the table `events`: commit, then acknowledge."""

import structlog

from app.jobs.outage import Outage
from app.stores.events import EventStore, EventStream
from common.clock import Clock
from common.errors import Malformed, Rejected, Retryable

log = structlog.get_logger(__name__)

#: Real time for which one waits for something to happen; entries that another process left are taken over as late.
BLOCK_MS, STALE_MS = 2_000, 60_000
AT_ONCE = 500


async def run_chronicle(told: EventStream, events: EventStore, clock: Clock) -> None:
    """Never returns; cancel it at any moment."""
    outage, own = Outage("What keeps the events", clock), True
    while True:
        try:
            await told.ensure_group()
            entries = await told.pending(AT_ONCE) if own else await told.read(AT_ONCE, BLOCK_MS)
            entries = entries or await told.claim_stale(STALE_MS, AT_ONCE)
            for _, one in entries:
                if isinstance(one, Malformed):
                    log.error("An entry of the events is none", reason=str(one))
            if happenings := [one for _, one in entries if not isinstance(one, Malformed)]:
                await events.write(happenings)
            if entries:
                await told.ack([entry for entry, _ in entries])
            own = own and bool(entries)
        except (Retryable, Rejected) as error:
            own = True
            await outage.wait(error)
        else:
            outage.over()
