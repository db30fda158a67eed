"""Tells what happens to the feeds to those who subscribed to it, as it happens."""

import asyncio

import msgspec
import structlog

from common.errors import CandlehouseError
from web.deps import Deps
from web.live.client import Client

log = structlog.get_logger(__name__)

#: Real time for which one waits for something to happen, and after which a Redis that is away is asked again.
BLOCK_MS, AGAIN_S = 1000, 1.0


class Announcer:
    """Reads the events while somebody listens. Each is a message of its own; none replaces another."""

    def __init__(self, deps: Deps, tasks: asyncio.TaskGroup) -> None:
        self._deps = deps
        self._tasks = tasks
        self._listeners: dict[Client, str] = {}
        self._reading: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()

    async def add(self, client: Client, exchange: str = "") -> None:
        """From now on; of one exchange, or of all. Raises Retryable when Redis does not say where now is."""
        async with self._beginning:  # or two who come at once would have everything read twice
            if self._reading is None or self._reading.done():
                cursor = await self._deps.happened.tail()
                self._listeners[client] = exchange
                self._reading = self._tasks.create_task(self._read(cursor), name="read the events")
        self._listeners[client] = exchange

    def remove(self, client: Client) -> bool:
        """Whether it was there."""
        return self._listeners.pop(client, None) is not None

    def stop(self) -> None:
        if self._reading:
            self._reading.cancel()

    async def _read(self, cursor: str) -> None:
        while self._listeners:
            try:
                cursor, happenings = await self._deps.happened.read(cursor, BLOCK_MS)
            except CandlehouseError as error:
                log.warning("The events cannot be read", reason=str(error))
                await asyncio.sleep(AGAIN_S)
                continue
            for one in happenings:
                told = {"data_type": "status", **msgspec.to_builtins(one)}
                for client, exchange in self._listeners.items():
                    if exchange in ("", one.exchange):
                        client.tell(told)
