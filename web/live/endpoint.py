"""WebSocket /api/ohlcvs: reads what a client wants, and lets its outbox feed the socket."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from web.live.conversation import Conversation
from web.live.frames import Encoded
from web.live.hub import Hub
from web.live.limits import (
    BROKEN,
    CLOSE_LIMIT_S,
    FAILED,
    FULL,
    MOST_CLIENTS,
    MOST_MESSAGE,
    NO_ROOM,
    TOO_BIG,
    TOO_LONG,
    Closing,
)

log = structlog.get_logger(__name__)
router = APIRouter()


@router.websocket("/api/ohlcvs")
async def ohlcvs(websocket: WebSocket) -> None:
    await websocket.accept()
    hub: Hub = websocket.app.state.hub
    closing = Closing(FULL, NO_ROOM) if len(hub.clients) >= MOST_CLIENTS else await _converse(websocket, hub)
    if closing:
        log.info("A client is sent away", code=closing.code, reason=closing.reason)
        with suppress(WebSocketDisconnect, TimeoutError, RuntimeError):
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await websocket.close(closing.code, closing.reason)


async def _converse(websocket: WebSocket, hub: Hub) -> Closing | None:
    """Until the client is gone, or why it is to go."""
    conversation, ends = Conversation(websocket.app.state.deps, hub), None
    try:
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(conversation.client.send_to(_sender(websocket)))
            waiting = tasks.create_task(_until(conversation.client.ended))
            await _listen(websocket, conversation)
            sending.cancel()
            waiting.cancel()
    except* WebSocketDisconnect as gone:
        log.debug("A client is gone", reason=repr(gone.exceptions[0]))
    except* Closing as closing:
        ends = next(one for one in closing.exceptions if isinstance(one, Closing))
    except* Exception:
        log.exception("A conversation broke off")
        ends = Closing(FAILED, BROKEN)
    finally:
        conversation.end()
    return ends


async def _until(ended: asyncio.Future[None]) -> None:
    await ended


async def _listen(websocket: WebSocket, conversation: Conversation) -> None:
    while (message := await websocket.receive())["type"] != "websocket.disconnect":
        said = message.get("text") or message.get("bytes") or ""
        if len(said) > MOST_MESSAGE:
            raise Closing(TOO_BIG, TOO_LONG)
        await conversation.hear(said)


def _sender(websocket: WebSocket) -> Callable[[Encoded], Awaitable[None]]:
    async def send(frame: Encoded) -> None:
        if isinstance(frame, str):
            await websocket.send_text(frame)
        else:
            await websocket.send_bytes(frame)

    return send
