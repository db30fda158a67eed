"""How large a request may be, and how long an answer may take to begin."""

import asyncio

from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.errors import refusal

MOST_BYTES = 65_536
#: Real seconds until the answer begins; how long the rest of it takes is the client's own affair.
LONGEST_S = 30.0


class _TooLarge(Exception):
    pass


class Bounds:
    """A request that goes beyond is refused in one sentence, and nobody works on it any further."""

    def __init__(self, app: ASGIApp, longest_s: float = LONGEST_S) -> None:
        self._app = app
        self._longest_s = longest_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        refused = await self._served(scope, receive, send)
        if refused is not None:
            await refused(scope, receive, send)

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> Response | None:
        """What to answer where the application did not."""
        too_large = refusal(413, f"A request may have {MOST_BYTES} bytes at most.", "body", f"{MOST_BYTES} bytes")
        told = Headers(scope=scope).get("content-length", "0")
        if not told.isdecimal() or int(told) > MOST_BYTES:
            return too_large
        has_begun = False

        async def send_noted(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                limit.reschedule(None)
            await send(message)

        try:
            async with asyncio.timeout(self._longest_s) as limit:
                await self._app(scope, _counted(receive), send_noted)
        except _TooLarge:
            return None if has_begun else too_large
        except TimeoutError:
            if has_begun:
                raise
            sentence = f"There was no answer within {self._longest_s:g} s; ask for less, or again later."
            return refusal(503, sentence, "", "")
        return None


def _counted(receive: Receive) -> Receive:
    taken = 0

    async def receive_counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BYTES:
            raise _TooLarge
        return message

    return receive_counted
