"""The rest of a start, once the roles are started: each line of logs/init.log when it has become true."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app import wiring
from app.settings import Settings
from app.stores import heartbeat
from celery_app.celery_main import app as celery
from scripts.docker import sessions
from scripts.docker.init_log import InitLog

#: Real seconds after which it is said what is still waited for.
PATIENCE_S = 60

log = structlog.get_logger(__name__)


async def initialize(settings: Settings, told: InitLog) -> None:
    """Returns when all of it is true. No step that takes long stops anything: what runs, collects candles."""
    steps: list[tuple[str, str, Callable[[], Awaitable[bool]]]] = [
        ("Celery workers created", "logs/celery", lambda: _workers_answer(settings)),
        ("tmux sessions created", "logs/tmux.log", sessions.exist),
        ("cron job added", "logs/celery/beat.log", lambda: _beat_began(settings)),
        ("Initialization complete", "logs/web.log and logs/celery/flower.log", lambda: _pages_answer(settings)),
    ]
    for line, where, is_true in steps:
        await _until(is_true, line, where)
        told.line(line)


async def _until(is_true: Callable[[], Awaitable[bool]], line: str, where: str) -> None:
    loop = asyncio.get_running_loop()
    said_s = loop.time()
    while not await is_true():
        if loop.time() - said_s > PATIENCE_S:
            log.warning(f"Not yet: {line}; see {where}")
            said_s = loop.time()
        await asyncio.sleep(0.5)


async def _workers_answer(settings: Settings) -> bool:
    """Whether each exchange has a worker that answers through the broker."""
    answers = await asyncio.to_thread(celery.control.ping, timeout=2)
    names = [name for answer in answers for name in answer]
    return all(any(name.startswith(f"{one}RestWorker@") for name in names) for one in settings.exchange_names)


async def _beat_began(settings: Settings) -> bool:
    async with wiring.open_redis(settings) as redis:
        return await heartbeat.beat_began(redis)


async def _pages_answer(settings: Settings) -> bool:
    """Whether the page and Flower listen."""
    for port in (settings.web_port, settings.celery_port):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
    return True
