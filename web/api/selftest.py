"""/api/test by REST and by WebSocket: does the way from a client to the database and back work?"""

from fastapi import APIRouter, Request, WebSocket
from fastapi.responses import Response

from web.deps import Deps
from web.errors import json_response

router = APIRouter()


@router.get("/api/test", response_class=Response)
async def test(request: Request) -> Response:
    """The row with the lowest id of table `test`, as a list."""
    deps: Deps = request.app.state.deps
    return json_response(await deps.analytics.test_row())


@router.websocket("/api/test")
async def hello(websocket: WebSocket) -> None:
    """Greets and closes."""
    await websocket.accept()
    await websocket.send_text('{"detail":"Hello WebSocket"}')
    await websocket.close()
