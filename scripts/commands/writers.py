"""Whether somebody of ours is at work on the database that a restore or a raise of its tier is to change."""

import asyncio
from contextlib import suppress

from app import wiring
from app.backup.restore import in_use
from app.settings import Settings
from app.stores import closed_stream
from celery_app.orders import served_queues
from common.errors import BadInput, CandlehouseError

#: Real time within which an updater that lives looks for candles, and a worker answers.
UPDATER_MS, WORKER_S = 4_000, 1.5


async def must_not_run(settings: Settings, then: str = "restore") -> None:
    """Raise BadInput, naming who runs and how to stop it.

    A restore asks the database too, under its locks; this finds those that have no session there at the moment.
    """
    if settings.instance and not settings.external_database:
        pid = settings.instance.supervisor.pid
        raise BadInput("DATA_DIR", f"Candlehouse runs (process {pid}): stop it with Ctrl-C there, then {then}.")
    names: list[str] = []
    with suppress(CandlehouseError):  # without Redis nobody is at work
        async with wiring.open_redis(settings) as redis:
            names += [f"updater {name}" for name in await closed_stream.readers(redis, UPDATER_MS)]
        names += [f"worker of {queue}" for queue in sorted(await asyncio.to_thread(served_queues, WORKER_S))]
    if names:
        raise in_use(", ".join(names), then)
