"""GET /api/asyncapi.json: the WebSocket, for programs."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from web.api.schema import described
from web.errors import json_response
from web.live.asyncapi import document

router = APIRouter()


@router.get("/api/asyncapi.json", responses=described(dict[str, Any]), response_class=Response)
async def asyncapi() -> Response:
    """An AsyncAPI 3.0 document."""
    return json_response(document())
