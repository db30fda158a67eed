"""The instance's own PostgreSQL by itself, for what is to be done to it while nothing else runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from app import embedded, running
from app.embedded import Servers
from app.processes import stop_leftovers
from app.running import Running
from app.server_user import server_user
from app.settings import Settings
from app.supervisor import Supervisor
from common.errors import BadInput, Retryable

#: Real seconds that the server may take to answer.
START_S = 60


@asynccontextmanager
async def answering(settings: Settings, *, even_if_new: bool = False) -> AsyncIterator[Settings]:
    """Settings whose database answers: the one that they name or that runs, else our own, started for the block.

    Where there is none yet it is made, if `even_if_new`; if not, `database_url` says that nothing is there.
    """
    folder = settings.data_dir
    ours = even_if_new or (folder / "postgres").exists()
    if settings.external_database or settings.instance or not ours:
        yield settings
        return
    with _lock(folder):
        if left := running.read(folder):
            await asyncio.to_thread(stop_leftovers, list(left.children.values()), 8)
        postgres = await asyncio.to_thread(embedded.prepare_postgres, settings, folder, server_user())
        (role, until_ready), *_ = Servers(postgres, None).roles(settings.log_dir)
        async with Supervisor(lambda _: None) as supervisor:
            supervisor.start(role)
            try:
                await asyncio.wait_for(until_ready(), START_S)
            except TimeoutError:
                raise Retryable(f"PostgreSQL does not answer; its log is {role.log}.") from None
            state = Running(running.this_process(), False, "", folder, postgres=postgres.server)
            yield settings.model_copy(update={"instance": state})


def _lock(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = running.lock(folder)
    except OSError as error:
        sentence = f"DATA_DIR {folder} cannot be written: {error.strerror}."
        raise BadInput("DATA_DIR", sentence, "a folder that you may write") from error
    if lock is None:
        raise Retryable(f"Candlehouse is starting or stopping under {folder}: try again in a moment.")
    return lock
