"""What every answer tells browsers: which scripts may run, what may frame it, and how long it may be kept."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: The style of lightweight-charts' own mark, which it writes into the page; a browser test sees it change.
MARK = "'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='"
#: Scripts, styles and data come from here alone, and nothing that is written into a page runs. Both chart
#: libraries size their canvases by style attributes, which can do nothing but look.
PAGE = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' {MARK}",
        "style-src-attr 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "frame-ancestors 'self'",
        "base-uri 'none'",
        "form-action 'self'",
    ]
)
#: What is no page draws nothing and loads nothing.
DATA = "default-src 'none'; frame-ancestors 'none'"


class Headers:
    """Browsers keep our static files but ask each time whether they are still the newest."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                _mark(MutableHeaders(scope=message), scope["path"])
            await send(message)

        await self._app(scope, receive, send_marked if scope["type"] == "http" else send)


def _mark(headers: MutableHeaders, path: str) -> None:
    is_page = headers.get("content-type", "").startswith("text/html")
    headers.setdefault("Content-Security-Policy", PAGE if is_page else DATA)
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
    if "/static/" in path:
        headers["Cache-Control"] = "no-cache"
