"""One process of ours tells Prometheus of itself, and the census where it can be asked."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import msgspec
import structlog
from redis.asyncio import Redis

from app.metrics import process
from app.metrics.scrape import Collect, Figures, Scrape
from app.metrics.server import MetricsServer
from app.settings import Settings
from app.settings_values import ports_of
from app.stores.census import RENEW_S, Census, Member
from common.errors import Retryable

log = structlog.get_logger(__name__)

LEAVE_S = 1.0
ANY = ("0.0.0.0", "::")


class Exporter:
    """What a process tells: of itself at once, and of its work as soon as that is `show`n."""

    def __init__(self) -> None:
        self._shown: list[tuple[Figures, Collect]] = []

    def show(self, figures: Figures, collect: Collect) -> None:
        """Fill these figures by `collect`, which must be quick, at each scrape from now on."""
        self._shown.append((figures, collect))

    def page(self, accept: str) -> tuple[bytes, str]:
        scrape = Scrape({name: figure for figures, _ in self._shown for name, figure in figures.items()})
        for _, collect in self._shown:
            collect(scrape)
        return scrape.text(accept)


@asynccontextmanager
async def exporting(
    settings: Settings, redis: Redis, role: str, of: str = "", queues: Sequence[str] = ()
) -> AsyncIterator[Exporter]:
    """Answer at the first free port of METRICS_PORTS for as long as the context lasts.

    Whatever fails here, the role goes on: without a port it is in the census alone, without Redis nowhere.
    """
    exporter = Exporter()
    with process.watched_process() as collect:
        exporter.show(process.FIGURES, collect)
        server, port = await _listen(settings, exporter, role)
        identity = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        member = Member(identity, role, f"{role} {of}".strip(), queues=tuple(queues))
        telling = asyncio.create_task(_tell(settings, redis, member, port), name="census")
        try:
            yield exporter
        finally:
            if server:
                server.close()
            telling.cancel()
            await asyncio.wait([telling])


async def _listen(settings: Settings, exporter: Exporter, role: str) -> tuple[asyncio.Server | None, int]:
    if not (ports := ports_of(settings.metrics_ports)):
        return None, 0
    server = MetricsServer(exporter.page, settings.web_token if settings.public else None)
    try:
        return await server.listen(settings.listen, ports)
    except OSError as error:
        told = {"METRICS_PORTS": settings.metrics_ports, "reason": str(error)}
        log.warning("This process tells no metrics", role=role, **told)
        return None, 0


async def _tell(settings: Settings, redis: Redis, member: Member, port: int) -> None:
    """Be in the census until cancelled."""
    address = f"{await _reachable(settings)}:{port}" if port else ""
    census = Census(redis, msgspec.structs.replace(member, address=address))
    try:
        while True:
            with suppress(Retryable):  # whoever works with Redis tells that it is away
                await census.renew()
            await asyncio.sleep(RENEW_S)
    finally:
        with suppress(Retryable, TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await census.leave()


async def _reachable(settings: Settings) -> str:
    """Where others reach what listens here: on every address, at the one from which we reach Redis."""
    if settings.listen not in ANY:
        return f"[{settings.listen}]" if ":" in settings.listen else settings.listen
    redis = urlsplit(settings.redis_url)
    try:
        loop, port = asyncio.get_running_loop(), redis.port or 6379
        found = await loop.getaddrinfo(redis.hostname, port, type=socket.SOCK_DGRAM)
        family, kind, *_, address = found[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # nothing is sent
            own: str = probe.getsockname()[0]
    except OSError:
        return socket.gethostname()
    return f"[{own}]" if ":" in own else own
