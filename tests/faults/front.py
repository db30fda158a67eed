"""What stands between the processes and the simulator: TLS before its port, and a network that can go quiet."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.fixtures.tls import Authority, authority, shows

#: TLS's alert "internal error", with which a handshake breaks off.
_ALERT = 80


class _Route:
    """One connection. Once it is dead nothing comes through either way, and neither end is told."""

    def __init__(self) -> None:
        self.lives = asyncio.Event()
        self.lives.set()
        self.writers: list[asyncio.StreamWriter] = []

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                await self.lives.wait()
                writer.write(data)
                await writer.drain()
        await self.lives.wait()
        writer.close()

    def abort(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.lives.set()


class Front:
    """`port` speaks TLS; behind it is the simulator's."""

    def __init__(self, target_port: int, folder: Path) -> None:
        self._target_port = target_port
        self._ours: Authority = authority(folder)
        self._stranger = authority(folder, "stranger")
        self._context = shows(self._ours.certificate("right"))
        self._context.set_alpn_protocols(["http/1.1"])
        self._routes: set[_Route] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._is_quiet = self._stalls = False
        #: How many answers stopped in their middle.
        self.stalled = 0
        self._tls_port = self.port = 0

    @property
    def trusted(self) -> Path:
        """What SSL_CERT_FILE is to name."""
        return self._ours.file

    def goes_quiet(self) -> None:
        """Every connection is half-open from now on, new ones included: accepted, and then nothing."""
        self._is_quiet = True
        for route in self._routes:
            route.lives.clear()

    def speaks(self) -> None:
        """New connections get through again; those that were open stay dead."""
        self._is_quiet = False

    def stalls(self, *, on: bool) -> None:
        """Answers of REST stop in the middle of their bodies while this is on."""
        self._stalls = on

    def is_foreign(self) -> None:
        shows(self._stranger.certificate("foreign"), self._context)

    def is_itself(self) -> None:
        self._context.sni_callback = _goes_on
        shows(self._ours.certificate("right"), self._context)

    def breaks_off(self) -> None:
        self._context.sni_callback = _breaks_off

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Front"]:
        inner = await asyncio.start_server(self._plain, "127.0.0.1", 0, ssl=self._context)
        outer = await asyncio.start_server(self._raw, "127.0.0.1", 0)
        self._tls_port, self.port = (one.sockets[0].getsockname()[1] for one in (inner, outer))
        try:
            yield self
        finally:
            for server in (outer, inner):
                server.close()
            left = list(self._carrying)
            for route in list(self._routes):
                route.abort()
            await asyncio.gather(*left, return_exceptions=True)

    async def _raw(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        route = _Route()
        if self._is_quiet:
            route.lives.clear()
        await self._join(route, reader, writer, self._tls_port)

    async def _plain(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._join(_Stalling(self), reader, writer, self._target_port)

    async def _join(
        self, route: _Route, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        self._routes.add(route)
        route.writers.append(writer)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", port)
            route.writers.append(back)
            await asyncio.gather(route.carry(reader, back), route.carry(there, writer))
        finally:
            route.abort()
            self._routes.discard(route)
            self._carrying.discard(task)

    @property
    def is_stalling(self) -> bool:
        return self._stalls


class _Stalling(_Route):
    """What comes back on a connection that is no WebSocket stops in the middle while the front says so."""

    def __init__(self, front: Front) -> None:
        super().__init__()
        self._front = front

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_answer, is_socket = writer is self.writers[0], False
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                is_socket = is_socket or data.startswith(b"HTTP/1.1 101")
                if is_answer and not is_socket and self._front.is_stalling:
                    data = data[: (data.find(b"\r\n\r\n") + 4 + len(data)) // 2]
                    self.lives.clear()
                    self._front.stalled += 1
                writer.write(data)
                await writer.drain()
                await self.lives.wait()
        writer.close()


def _goes_on(*_: object) -> None:
    return None


def _breaks_off(socket: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int:
    return _ALERT
