"""One open WebSocket: what waits to be sent on it, and the conversation until it ends."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from common.clock import Clock
from scripts.simulator.faults import Fault, Faults

#: Frames that may wait for a slow reader before it is hung up on.
_WAITING = 50_000

#: Close codes: a service restarting, and one that somebody broke the rules of.
RESTART, POLICY = 1012, 1008


class Outbox:
    """Frames on their way to one reader; nobody who adds one ever waits."""

    def __init__(self) -> None:
        self._frames: deque[str] = deque()
        self._wake = asyncio.Event()
        self._closing: int | None = None

    def put(self, frame: str) -> None:
        if len(self._frames) >= _WAITING:
            self._frames.clear()
            self.close(POLICY)
        self._frames.append(frame)
        self._wake.set()

    def close(self, code: int) -> None:
        """Hang up once what waits is sent."""
        self._closing = code
        self._wake.set()

    async def drain(self, websocket: WebSocket) -> None:
        """Send until closed from either side."""
        try:
            while True:
                while self._frames:
                    await websocket.send({"type": "websocket.send", "text": self._frames.popleft()})
                if self._closing is not None:
                    return await websocket.close(self._closing)
                self._wake.clear()
                await self._wake.wait()
        except WebSocketDisconnect:
            self._frames.clear()


class Sockets:
    """The open sockets of one exchange, so that all can be told something or hung up on."""

    def __init__(self, exchange: str, clock: Clock, faults: Faults) -> None:
        self.exchange = exchange
        self._clock = clock
        self._faults = faults
        self._open: set[Outbox] = set()
        #: What the exchange says before it hangs up, long before it does so, and when maintenance begins and ends.
        self.farewell: str | None = None
        self.announcement: str | None = None
        self.maintenance: tuple[str, str] | None = None
        faults.listeners.append(self._switched)

    async def converse(
        self,
        websocket: WebSocket,
        outbox: Outbox,
        hear: Callable[[str], None],
        also: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
    ) -> None:
        """Accept, then send and listen, doing `also` alongside, until the socket is closed."""
        await websocket.accept()
        self._open.add(outbox)
        try:
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(one) for one in (outbox.drain(websocket), *(start() for start in also))
                ]
                await _listen(websocket, hear)
                for task in beside:
                    task.cancel()
        finally:
            self._open.discard(outbox)

    async def refuses(self, websocket: WebSocket) -> bool:
        """Nobody is let in during maintenance, except by an exchange that announces it on the socket."""
        if self.maintenance is not None or self._faults.find(self.exchange, "maintenance") is None:
            return False
        await websocket.send_denial_response(Response("Service unavailable", 503))
        return True

    def is_silent(self, *, heartbeat: bool = False) -> bool:
        """Whether a frame of this sort must not be sent now."""
        silence = self._faults.find(self.exchange, "silence")
        if silence is not None:
            return not (heartbeat and silence.heartbeats)
        return not heartbeat and self._faults.find(self.exchange, "maintenance") is not None

    def hang_up(self, notice_s: float = 0) -> None:
        """Close every socket as a restarting server does, at once or so long after it was announced."""
        words = (self.announcement if notice_s else None) or self.farewell
        for outbox in self._open:
            if words:
                outbox.put(words)
            if notice_s:
                real_s = notice_s / self._clock.rate
                asyncio.get_running_loop().call_later(real_s, outbox.close, RESTART)
            else:
                outbox.close(RESTART)

    async def keep_hanging_up(self) -> None:
        """Obey a disconnect fault that repeats."""
        last_s = 0.0
        while True:
            await self._clock.sleep(max(1, self._clock.rate / 20))
            fault = self._faults.find(self.exchange, "disconnect")
            age_s = self._faults.age_s(fault) if fault else 0.0
            if fault is None or age_s < last_s:
                last_s = 0.0
            elif age_s - last_s >= fault.every_s:
                last_s = age_s
                self.hang_up(fault.notice_s)

    def _switched(self, fault: Fault) -> None:
        if fault.exchange not in ("*", self.exchange):
            return
        if fault.kind == "disconnect" and fault.on:
            self.hang_up(fault.notice_s)
        elif fault.kind == "maintenance" and self.maintenance:
            for outbox in self._open:
                outbox.put(self.maintenance[0 if fault.on else 1])
        elif fault.kind == "maintenance" and fault.on:
            self.hang_up()


async def _listen(websocket: WebSocket, hear: Callable[[str], None]) -> None:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        hear(text if text is not None else message["bytes"].decode(errors="replace"))
