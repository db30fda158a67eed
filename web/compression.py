"""Answers in gzip, for whoever accepts it."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Less than this is not worth a header.
LEAST_BYTES = 1024
#: A thousand bars are a quarter of their size at any level; the first takes half a millisecond, the ninth six.
LEVEL = 1
#: What brings a compression of its own.
AS_IT_IS = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/vnd.apache.parquet")


class Compression:
    """Starlette's, which believes neither `gzip;q=0` nor that a strong ETag is of one encoding alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = GZipMiddleware(app, LEAST_BYTES, LEVEL, exclude_content_types=AS_IT_IS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def send_weak(message: Message) -> None:
            if message["type"] == "http.response.start":
                _weaken(MutableHeaders(scope=message))
            await send(message)

        # In place, for what is around this looks in the same scope for the route.
        scope["headers"] = _asked(scope)
        await self._app(scope, receive, send_weak)


def _asked(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The headers of the request, with gzip where it accepts it, and nothing of the kind otherwise."""
    accepted = accepts_gzip(Headers(scope=scope).get("accept-encoding", ""))
    others = [header for header in scope["headers"] if header[0] != b"accept-encoding"]
    return [*others, (b"accept-encoding", b"gzip")] if accepted else others


def accepts_gzip(header: str) -> bool:
    """Accept-Encoding (RFC 9110, 12.5.3): gzip by its name, or by `*` where it is not named, unless with q=0."""
    weights: dict[str, bool] = {}
    for part in header.lower().split(","):
        coding, _, weight = part.partition(";")
        weights[coding.strip()] = _is_wanted(weight)
    named = weights.get("gzip", weights.get("x-gzip"))
    return weights.get("*", False) if named is None else named


def _is_wanted(weight: str) -> bool:
    name, _, value = weight.replace(" ", "").partition("=")
    return name != "q" or value.strip("0.") != ""


def _weaken(headers: MutableHeaders) -> None:
    """The same bars in other bytes: equal, but not byte by byte (RFC 9110, 8.8.1)."""
    tag = headers.get("etag", "")
    if headers.get("content-encoding") == "gzip" and tag.startswith('"'):
        headers["ETag"] = f"W/{tag}"
