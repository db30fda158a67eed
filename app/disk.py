"""The disk that the database fills: what is free, what the next week needs, and a warning in time."""

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import structlog
from rich.filesize import decimal
from sqlalchemy import make_url

from app import running
from app.stores.database import Database, open_database
from app.stores.sizes import CandleBytes, SizeStore
from common.clock import Clock
from common.errors import CandlehouseError

if TYPE_CHECKING:
    from app.settings import Settings

#: Below this share of a disk, of a large one below so many bytes, a person is told whatever grows.
LEAST_SHARE, LEAST_BYTES = 0.1, 10_000_000_000
ADVICE = "make room, fetch less, or keep minutes for fewer days (RETAIN_MINUTES_DAYS)."
#: Real seconds between two looks of `watch`.
EVERY_S = 600

log = structlog.get_logger("disk")


class Disk(NamedTuple):
    """Bytes that we may still write, and of the whole file system."""

    free: int
    total: int


class Room(NamedTuple):
    """`disk` is None where it cannot be seen from here; `coming` are the candles of the next seven days."""

    disk: Disk | None
    candle: CandleBytes
    coming: int

    @property
    def needed(self) -> int:
        """Bytes of the candles that are coming."""
        return self.coming * self.candle.bytes

    @property
    def free(self) -> str:
        """One sentence of what is free."""
        if self.disk is None:
            return "The database's disk cannot be seen from here."
        return f"{decimal(self.disk.free)} of {decimal(self.disk.total)} are free on the database's disk."

    @property
    def warning(self) -> str:
        """One sentence when the disk fills, or nothing; nothing also where it cannot be seen."""
        if self.disk is None:
            return ""
        need = f"seven days of streams and planned fetches need up to {decimal(self.needed)}"
        if self.needed > self.disk.free:
            return f"The disk will be full: {self.free.removesuffix('.')}, and {need}; {ADVICE}"
        if self.disk.free < min(LEAST_SHARE * self.disk.total, LEAST_BYTES):
            return f"The disk is nearly full: {self.free.removesuffix('.')}; {ADVICE}"
        return ""

    def fits(self, candles: int) -> bool | None:
        """Whether so many more have place beside those that are coming; None where the disk cannot be seen."""
        if self.disk is None:
            return None
        return not candles or self.needed + candles * self.candle.bytes <= self.disk.free

    def outlook(self, candles: int) -> str:
        """One sentence of whether so many more have place."""
        fits = self.fits(candles)
        if fits is None:
            return f"Whether it fits is not known. {self.free}"
        word, end = ("It fits", ".") if fits else ("It does not fit", f"; {ADVICE}")
        more, free = decimal(candles * self.candle.bytes), self.free.removesuffix(".")
        week = f"seven days of streams and planned fetches need up to {decimal(self.needed)} beside"
        return f"{word}: up to {more}; {free}, and {week}{end}"


async def room(settings: "Settings", db: Database, now_ms: int) -> Room:
    """How the database's disk stands, with all fetches that are planned by now."""
    sizes = SizeStore(db)
    return Room(see(settings), await sizes.of_candle(), await sizes.coming(now_ms))


async def watch(settings: "Settings", clock: Clock, every_s: float = EVERY_S) -> None:
    """Log a warning again and again while the disk fills; returns where the disk cannot be seen, else never."""
    while see(settings):
        db = open_database(settings.database_url, pool_size=1, name="candlehouse disk")
        try:
            if warning := (await room(settings, db, clock.now_ms())).warning:
                log.warning(warning)
        except (CandlehouseError, asyncpg.PostgresError) as error:
            log.warning("the disk's room is not known", reason=str(error))
        finally:
            await db.close()
        await asyncio.sleep(every_s)


def see(settings: "Settings") -> Disk | None:
    """The database's disk, if it is one of this machine and we know where."""
    try:
        folder = _folder(settings)
        usage = shutil.disk_usage(folder) if folder else None
    except OSError:
        return None
    return usage and Disk(usage.free, usage.total)


def _folder(settings: "Settings") -> Path | None:
    """A folder of our own server's, or DATABASE_DISK for the one at POSTGRES_HOST; roles know both by address."""
    state = settings.instance or running.alive(settings.data_dir)
    address = settings.database_url
    if state and state.postgres and state.postgres.url("postgresql") == address:
        return settings.data_dir
    if settings.database_disk and settings.postgres_host == make_url(address).host:
        return Path(settings.database_disk)
    return None
