"""The sockets that uvicorn serves, bounded: what the system keeps for whom does not read, and for how long.

`uvicorn --ws web.live.sockets:Sockets`. By itself the system keeps 4 MB for a client that stands still, which is
then told what is long over, and uvicorn waits without end for what it has written to be taken.
"""

import asyncio
import socket
import struct
from asyncio.transports import BaseTransport

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

#: What we ask the system to keep of what is sent; Linux takes twice as much, for its own books.
SEND_BUFFER_BYTES = 128 * 1024
#: Real seconds that a client has to take what was written before its end.
LINGER_S = 10.0


class Sockets(WebSocketsSansIOProtocol):
    """One connection."""

    _ending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        _set(transport, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._ending:
            self._ending.cancel()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if not self.disconnected:
            self._ending = self.loop.call_later(LINGER_S, self._cut)

    def _cut(self) -> None:
        """Nothing is left with the system, which would go on to offer what is written."""
        _set(self.transport, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def _set(transport: BaseTransport, option: int, value: int | bytes) -> None:
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, value)
