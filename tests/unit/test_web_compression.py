"""Answers in gzip, for whoever accepts it."""

import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from web.compression import LEAST_BYTES, Compression, accepts_gzip

TEXT = b'{"time":1715776440000,"open":50000.0},' * 4000
JSON, PARQUET = "application/json", "application/vnd.apache.parquet"


async def whole(request: Request) -> Response:
    size = int(request.query_params.get("size", len(TEXT)))
    media_type = request.query_params.get("type", JSON)
    return Response(TEXT[:size], media_type=media_type, headers={"ETag": '"7"'})


async def streamed(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(TEXT), 50_000):
            yield TEXT[at : at + 50_000]

    return StreamingResponse(chunks(), media_type="text/csv")


async def ask(path: str, accept: str | None, **params: Any) -> tuple[httpx.Response, bytes]:
    """The answer, and its body as it was sent."""
    app = Compression(Starlette(routes=[Route("/whole", whole), Route("/streamed", streamed)]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://web") as client:
        del client.headers["accept-encoding"]
        headers = {} if accept is None else {"Accept-Encoding": accept}
        async with client.stream("GET", path, params=params, headers=headers) as answer:
            return answer, b"".join([part async for part in answer.aiter_raw()])


@pytest.mark.parametrize("path", ["/whole", "/streamed"])
async def test_whoever_accepts_gzip_gets_the_same_bytes_in_fewer(path: str) -> None:
    answer, body = await ask(path, "deflate, gzip;q=0.5, br")
    assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(body) == TEXT
    assert len(body) < len(TEXT) / 4


@pytest.mark.parametrize("path", ["/whole", "/streamed"])
@pytest.mark.parametrize("accept", [None, "identity", "gzip;q=0", "br, gzip; q=0.000"])
async def test_whoever_does_not_gets_them_as_they_are(path: str, accept: str | None) -> None:
    answer, body = await ask(path, accept)
    assert ("content-encoding" in answer.headers, answer.headers["vary"]) == (False, "Accept-Encoding")
    assert body == TEXT


async def test_what_is_small_or_compressed_already_stays_as_it_is() -> None:
    for asked in ({"size": LEAST_BYTES - 1}, {"type": PARQUET}):
        answer, body = await ask("/whole", "gzip", **asked)
        assert ("content-encoding" in answer.headers, body) == (False, TEXT[: asked.get("size")])


async def test_a_strong_etag_is_of_the_bytes_that_were_sent() -> None:
    assert (await ask("/whole", None))[0].headers["etag"] == '"7"'
    assert (await ask("/whole", "gzip"))[0].headers["etag"] == 'W/"7"'


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("GZIP;q=1.0", True),
        ("x-gzip", True),
        ("br;q=1, *;q=0.1", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("notgzip", False),
    ],
)
def test_accept_encoding_is_read_as_http_has_it(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
