"""GET /metrics/targets: where Prometheus finds the other roles, each of which answers at a port of its own."""

from collections.abc import Sequence

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.stores.census import Member
from web.deps import Deps

router = APIRouter()


@router.get("/metrics/targets", response_class=Response)
async def targets(request: Request) -> Response:
    """What `http_sd_configs` reads: every process that lives, with its `role` and what it is called."""
    deps: Deps = request.app.state.deps
    return Response(msgspec.json.encode(_groups(await deps.figures.processes())), media_type="application/json")


def _groups(members: Sequence[Member]) -> list[dict[str, object]]:
    return [
        {"targets": [one.address], "labels": {"role": one.role, "process": one.name}}
        for one in members
        if one.address
    ]
