"""Answers that a client need not fetch again while they are the same. docs/adr/0028-no-bar-is-immutable.md."""

from collections.abc import Mapping
from hashlib import blake2b

from fastapi.responses import Response
from starlette.requests import Request

#: Kept by whoever asked alone, and only to be asked about: a bar of any age may be corrected.
CACHING = {"Cache-Control": "private, no-cache"}


def tagged(request: Request, body: bytes, media_type: str, headers: Mapping[str, str]) -> Response:
    """`body` with a tag that is made of it, or 304 where the client has the very same."""
    tag = f'"{blake2b(body, digest_size=16).hexdigest()}"'
    told = {**headers, **CACHING, "ETag": tag}
    if _is_known(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=told)
    return Response(body, media_type=media_type, headers=told)


def _is_known(header: str, tag: str) -> bool:
    """If-None-Match (RFC 9110, 13.1.2) compares weakly: the same bars in gzip are the same."""
    tags = [one.strip().removeprefix("W/") for one in header.split(",")]
    return tag in tags or "*" in tags
