"""The fetches that people see, begin and stop in the browser."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from redis.asyncio import Redis

from app.disk import Room
from app.jobs import fetching
from app.jobs.fetching import FetchWish, Planned
from app.settings import Settings
from app.stores import jobs
from app.stores.jobs import Job
from app.wiring import Stores
from common.clock import Clock
from common.errors import BadInput

#: Has a job worked on: (exchange, job's number).
Order = Callable[[str, int], Awaitable[object]]


class Fetches(Protocol):
    """The fetches: those that there are, new ones, and an end to them."""

    async def newest(self, limit: int) -> list[Job]: ...
    async def begin(self, wish: FetchWish) -> Planned: ...
    async def cancel(self, number: int) -> None: ...


class WiredFetches:
    """`settings` are read when somebody begins a fetch."""

    def __init__(
        self,
        stores: Stores,
        settings: Callable[[], Settings],
        clock: Clock,
        room: Callable[[], Awaitable[Room]],
        order: Order,
    ) -> None:
        self._stores, self._settings, self._clock, self._room, self._order = stores, settings, clock, room, order

    async def newest(self, limit: int) -> list[Job]:
        return await jobs.newest(self._stores.db, limit)

    async def begin(self, wish: FetchWish) -> Planned:
        """Plan it and have the workers take it up."""
        room, now_ms = await self._room(), self._clock.now_ms()
        planned = await fetching.plan(wish, self._settings(), self._stores, room, now_ms)
        if not planned.done:
            await self._order(wish.exchange.strip().lower(), planned.job_id)
        return planned

    async def cancel(self, number: int) -> None:
        """Stop it within a page; what it stored stays."""
        state = (await self._stores.plan.progress(number)).state
        if state not in ("queued", "running"):
            raise BadInput("number", f"Fetch {number} is over already: {state}.")
        await self._stores.plan.cancel(number)


def ordering(redis: Redis) -> Order:
    """By the workers' messages, as commands do it. Celery is imported when somebody first begins a fetch."""

    async def order(exchange: str, job_id: int) -> None:
        from celery_app.orders import order_work

        await order_work(redis, exchange, job_id)

    return order
