"""Counts the answers of this web process, by route and status, and how long each took."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.histogram import Histogram

#: Of what reached no route: refused at the door, or nowhere to be found.
NO_ROUTE = "none"

#: By route, as it is written in the program, and HTTP status.
Answered = dict[tuple[str, str], Histogram]


class Counting:
    """Outside of everything else; adds to `app.state.answered`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s, status = time.perf_counter(), 500

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_counted)
        finally:
            # A mounted folder has no route of its own, and is known by where it is mounted.
            route = str(getattr(scope.get("route"), "path", scope.get("root_path") or NO_ROUTE))
            answered: Answered = scope["app"].state.answered
            answered.setdefault((route, str(status)), Histogram()).add(time.perf_counter() - began_s)
