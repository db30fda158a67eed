"""Files of a public host: asked for without any rate budget, a few at a time, and saved as they come."""

import asyncio
from hashlib import sha256
from pathlib import Path

import httpx

from common.clock import Clock
from common.errors import Rejected, Retryable
from fetchers.http import CONNECT_S, SILENT_S, back_off_s

#: Asked so often before giving up.
ATTEMPTS = 4
#: At the same time.
CONNECTIONS = 4

_PIECE_BYTES = 1 << 18
_DIRECTLY = {f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")}


class FileHost:
    """The files below one address. 404 is an answer, None; every other trouble is Retryable or Rejected."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url.rstrip("/")
        self._clock = clock
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(SILENT_S, connect=CONNECT_S, pool=None),
            limits=httpx.Limits(max_connections=CONNECTIONS),
            headers={"user-agent": "candlehouse"},
            mounts=_DIRECTLY,
        )

    async def content(self, path: str) -> bytes | None:
        """A small file's bytes."""
        answer = await self._retrying("GET", path)
        return answer.content if answer else None

    async def size(self, path: str) -> int | None:
        """In bytes."""
        answer = await self._retrying("HEAD", path)
        return int(answer.headers.get("content-length", 0)) if answer else None

    async def save(self, path: str, to: Path) -> str | None:
        """Write the file to `to`; the sha256 of what arrived."""
        answer = await self._retrying("GET", path, to)
        return str(answer.extensions["sha256"]) if answer else None

    async def close(self) -> None:
        await self._client.aclose()

    async def _retrying(self, method: str, path: str, to: Path | None = None) -> httpx.Response | None:
        for attempt in range(ATTEMPTS - 1):
            try:
                return await self._ask(method, path, to)
            except Retryable as error:
                await self._clock.sleep(back_off_s(attempt, error.retry_after_s))
        return await self._ask(method, path, to)

    async def _ask(self, method: str, path: str, to: Path | None) -> httpx.Response | None:
        """The one place where httpx's errors of files end."""
        try:
            async with self._client.stream(method, f"{self._url}/{path}") as answer:
                if answer.status_code == 404:
                    return None
                self._refuse(answer)
                if to is None:
                    await answer.aread()
                else:
                    answer.extensions["sha256"] = await _save(answer, to)
                return answer
        except (httpx.HTTPError, TimeoutError) as error:
            raise Retryable(f"{self._url} does not answer: {str(error) or type(error).__name__}") from error
        except httpx.InvalidURL as error:
            raise Rejected(f"{self._url} cannot be asked: {error}") from error

    def _refuse(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if status in (403, 451):
            raise Rejected(f"{self._url} refuses requests from this network or country (HTTP {status}).")
        if status in (408, 429) or status >= 500:
            raise Retryable(f"{self._url} answered {status}", status=status)
        if status >= 300:
            raise Rejected(f"{self._url} answered {status} for {answer.url.path}", status=status)


async def _save(answer: httpx.Response, to: Path) -> str:
    digest = sha256()
    with to.open("wb") as file:
        async for piece in answer.aiter_raw(_PIECE_BYTES):
            digest.update(piece)
            await asyncio.to_thread(file.write, piece)
    return digest.hexdigest()
