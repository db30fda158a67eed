"""An answer that is sent while it is made, no faster than its client reads, and ends when the client goes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from common.errors import CandlehouseError

log = structlog.get_logger(__name__)

#: Each holds a connection to PostgreSQL, of web.wired.POOL_SIZE, for as long as its client reads.
MOST_AT_ONCE = 4
#: Real seconds until the last byte.
LONGEST_S = 600.0

Sink = Callable[[bytes], Awaitable[None]]
Produce = Callable[[Sink], Awaitable[None]]


class Streamed(Response):
    """`produce` writes the body. Until its first byte it may raise, and be answered for; later it is broken off.

    Then the body lacks its last chunk, which every client of HTTP/1.1 notices.
    """

    def __init__(
        self, produce: Produce, places: asyncio.Semaphore, media_type: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(media_type=media_type, headers=headers)
        del self.headers["content-length"]
        self._produce, self._places = produce, places
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send_all(send))
        leaving = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((sending, leaving), timeout=LONGEST_S, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                self._judge(sending)
            elif not leaving.done():
                log.warning(f"An answer of {scope['path']} took longer than {LONGEST_S:g} s, and was broken off.")
        finally:
            for task in (sending, leaving):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task

    def _judge(self, sending: "asyncio.Task[None]") -> None:
        error = sending.exception()
        if isinstance(error, CandlehouseError) and self._begun:
            log.warning(f"An answer was broken off: {error}")
        elif error is not None:
            raise error

    async def _send_all(self, send: Send) -> None:
        async def sink(body: bytes) -> None:
            if not self._begun:
                self._begun = True
                start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                await send(start)
            await send({"type": "http.response.body", "body": body, "more_body": True})

        async with self._places:
            await self._produce(sink)
        await sink(b"")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
