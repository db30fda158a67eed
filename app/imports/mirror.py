"""Where archives are: the public host, or a folder that holds a copy of it."""

import asyncio
import hashlib
from pathlib import Path
from typing import Protocol

from common.errors import BadInput, Malformed
from fetchers.binance_vision import Archive, parse_checksum
from fetchers.files import FileHost


class Mirror(Protocol):
    """Every answer is None for an archive that is not there."""

    async def checksum(self, archive: Archive) -> str | None:
        """What its CHECKSUM file says, a sha256."""

    async def size(self, archive: Archive) -> int | None:
        """In bytes."""

    async def fetch(self, archive: Archive, folder: Path) -> tuple[Path, str] | None:
        """The file, in `folder` if it had to be brought here, and the sha256 of its bytes."""


class HostMirror:
    """Files of a host; those brought here are the caller's to remove."""

    def __init__(self, host: FileHost) -> None:
        self._host = host

    async def checksum(self, archive: Archive) -> str | None:
        body = await self._host.content(f"{archive.path}.CHECKSUM")
        return None if body is None else parse_checksum(body, archive.name)

    async def size(self, archive: Archive) -> int | None:
        return await self._host.size(archive.path)

    async def fetch(self, archive: Archive, folder: Path) -> tuple[Path, str] | None:
        to = folder / archive.name
        digest = await self._host.save(archive.path, to)
        return None if digest is None else (to, digest)


class FolderMirror:
    """Files under a folder that has the host's own folders, or only the inner ones of them, or none."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise BadInput("from", f"--from {folder} is not a folder.", "a folder")
        self._folder = folder

    async def checksum(self, archive: Archive) -> str | None:
        found = self._find(archive)
        if found is None:
            return None
        beside = found.with_name(f"{found.name}.CHECKSUM")
        if not beside.is_file():
            raise Malformed("archive", f"{found} has no {beside.name} beside it to check it with")
        return parse_checksum(beside.read_bytes(), archive.name)

    async def size(self, archive: Archive) -> int | None:
        found = self._find(archive)
        return found.stat().st_size if found else None

    async def fetch(self, archive: Archive, folder: Path) -> tuple[Path, str] | None:
        found = self._find(archive)
        return None if found is None else (found, await asyncio.to_thread(_digest, found))

    def _find(self, archive: Archive) -> Path | None:
        parts = archive.path.split("/")
        candidates = (self._folder.joinpath(*parts[at:]) for at in range(len(parts)))
        return next((path for path in candidates if path.is_file()), None)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
