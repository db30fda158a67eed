"""A server of one page, GET /metrics, in the role's own event loop; between scrapes it costs nothing."""

import asyncio
import errno
import hmac
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus

import structlog
from pydantic import SecretStr

log = structlog.get_logger(__name__)

#: Real seconds for a whole request, and for its answer to be taken.
LIMIT_S = 10
#: Of a request's head, in bytes.
LONGEST_HEAD = 16_384

#: The page in the form that the header Accept asks for, and its content type.
Page = Callable[[str], tuple[bytes, str]]
Answer = tuple[HTTPStatus, bytes, str]


class MetricsServer:
    """Where `token` is set, whoever asks must show it, as at the web."""

    def __init__(self, page: Page, token: SecretStr | None) -> None:
        self._page = page
        self._token = token

    async def listen(self, host: str, ports: Iterable[int]) -> tuple[asyncio.Server, int]:
        """Listen at the first of `ports` that nobody else has. Raises OSError when there is none."""
        for port in ports:
            try:
                return await asyncio.start_server(self._serve, host, port, limit=LONGEST_HEAD), port
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, "every one of these ports is taken")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one answer."""
        try:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(LIMIT_S):
                    try:
                        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                        status, body, content_type = self._answer(head)
                    except asyncio.LimitOverrunError:
                        status, body, content_type = _said(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                    writer.write(_head(status, body, content_type) + body)
                    await writer.drain()
        finally:
            writer.close()

    def _answer(self, head: str) -> Answer:
        asked, *lines = head.split("\r\n")
        method, _, rest = asked.partition(" ")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        if self._token is not None and not _shows(headers.get("authorization", ""), self._token):
            return _said(HTTPStatus.UNAUTHORIZED)
        if rest.split(" ")[0].split("?")[0] != "/metrics":
            return _said(HTTPStatus.NOT_FOUND)
        if method != "GET":
            return _said(HTTPStatus.METHOD_NOT_ALLOWED)
        try:
            return HTTPStatus.OK, *self._page(headers.get("accept", ""))
        except Exception:  # whatever is wrong with a figure, the role goes on with its work
            log.exception("The figures cannot be told")
            return _said(HTTPStatus.INTERNAL_SERVER_ERROR)


def _shows(authorization: str, token: SecretStr) -> bool:
    scheme, _, given = authorization.partition(" ")
    same = hmac.compare_digest(given.strip().encode(), token.get_secret_value().encode())
    return scheme.lower() == "bearer" and same


def _said(status: HTTPStatus) -> Answer:
    return status, f"{status.phrase}\n".encode(), "text/plain; charset=utf-8"


def _head(status: HTTPStatus, body: bytes, content_type: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        *(["WWW-Authenticate: Bearer"] if status is HTTPStatus.UNAUTHORIZED else []),
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
