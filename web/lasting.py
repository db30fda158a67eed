"""A WebSocket lasts for days, and ends with the key that opened it."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import Send

POLICY_VIOLATION = 1008


async def while_opened(
    conversation: Awaitable[None], is_open: Callable[[], Awaitable[bool]], every_s: float, send: Send
) -> None:
    """Run `conversation` to its end, or close it from here once it is not `is_open` any more."""
    talking = asyncio.ensure_future(conversation)
    try:
        while not (await asyncio.wait({talking}, timeout=every_s))[0]:
            if not await is_open():
                break
        else:
            return await talking
    finally:
        talking.cancel()
        await asyncio.wait({talking})
    await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "The key opens nothing any more."})
