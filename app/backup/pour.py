"""What psql is given of a backup, between `restore_begin.sql` and COMMIT."""

from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from app import migrate, tiers
from app.backup import listing, packed
from app.backup.archive import Archive
from app.backup.ours import is_ours
from app.backup.process import CHUNK, child
from app.stores.statements import sql
from app.tiers import Tier
from common.errors import BadInput

#: pg_restore writes it at the start from version 17 on; older servers do not know it.
_SINCE_17 = b"SET transaction_timeout = 0;\n"
_OPTIONS = ("--schema=public", "--no-owner", "--no-privileges", "--file=-")


@dataclass(slots=True)
class Pour:
    """From `archive` into `sink`, psql's input on a server of major version `server`; `fed` hears of all bytes."""

    archive: Archive
    environment: Mapping[str, str]
    sink: StreamWriter
    server: int
    fed: Callable[[int], None]
    count: int = 0

    async def write(self, data: bytes) -> None:
        self.sink.write(data)
        await self.sink.drain()
        self.count += len(data)
        self.fed(self.count)

    async def restored(self, *arguments: str | Path) -> None:
        """What pg_restore makes of the archive; BadInput where it cannot."""
        archive = self.archive
        command = (*_OPTIONS, *arguments, archive.dump)
        async with child(archive.pg_restore, *command, environment=self.environment, tells=True) as out:
            assert out.process.stdout
            await self.feed(out.process.stdout)
            if await out.process.wait():
                sentence = f"{archive.file} is damaged or cut off, and nothing was changed"
                raise BadInput("FILE", f"{sentence}: {out.reason()}.")

    async def feed(self, source: StreamReader) -> None:
        """All of it, but for a setting that an older server does not know."""
        head = await source.read(CHUNK)
        while len(head) < 4096 and (more := await source.read(CHUNK)):
            head += more
        chunk = head.replace(_SINCE_17, b"", 1) if self.server < 17 else head
        while chunk:
            await self.write(chunk)
            chunk = await source.read(CHUNK)


async def whole(pour: Pour) -> None:
    """Of a plain database: pg_dump's archive holds tables and rows alike."""
    await pour.restored()


async def into_tables(pour: Pour, tier: Tier) -> None:
    """Of a richer one: tables as our revisions make them, then the rows, so that these may come into another tier.

    Candles come into a hypertable at once where one is wanted and the archive's schema is the newest, which is the
    one that the tiers' scripts know; else the tier is raised afterwards.
    """
    archive = pour.archive
    await pour.write(migrate.schema_sql(archive.revision).encode())
    if tier is not Tier.PLAIN and archive.revision == migrate.revisions()[-1]:
        await pour.write(tiers.hypertable_sql().encode())
    await pour.write(sql("restore_tables").encode())
    with TemporaryDirectory() as folder:
        chosen = f"--use-list={listing.write(listing.beside_revisions(archive.listing, is_ours), Path(folder))}"
        await pour.restored(chosen, "--section=pre-data", "--section=data")
        for table in archive.tables:
            await pour.write(f'\nCOPY public."{table}" FROM stdin (HEADER MATCH);\n'.encode())
            for chunk in packed.rows(archive.file, table):
                await pour.write(chunk)
            await pour.write(b"\\.\n")
        await pour.write(f"RESET search_path;\n{sql('restore_keys')}".encode())
        await pour.restored(chosen, "--section=post-data")
