"""The simulator's own endpoints for its limits: what they are, and what became of each request."""

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from common.errors import BadInput
from scripts.simulator.listings import EXCHANGES
from scripts.simulator.rest import json, wrong_answer
from scripts.simulator.world import World


def routes(world: World) -> list[BaseRoute]:
    """`/_sim/verdicts`, the oldest first, and `/_sim/limits`, which takes other limits than the documented."""

    async def verdicts(request: Request) -> Response:
        if request.method == "DELETE":
            world.limits.log.clear()
        return json(list(world.limits.log))

    async def limits(request: Request) -> Response:
        try:
            if request.method == "POST":
                world.limits.stated |= _stated(await request.body())
        except BadInput as wrong:
            return wrong_answer(wrong)
        return json(world.limits.stated)

    return [
        Route("/_sim/verdicts", verdicts, methods=["GET", "DELETE"]),
        Route("/_sim/limits", limits, methods=["GET", "POST"]),
    ]


def _stated(body: bytes) -> dict[str, int]:
    """Such as `{"binance": 100}`."""
    allowed = f"an object of {', '.join(EXCHANGES)} and whole numbers from 1"
    try:
        found = msgspec.json.decode(body, type=dict[str, Annotated[int, msgspec.Meta(ge=1)]])
    except msgspec.MsgspecError as error:
        raise BadInput("body", f"The limits are wrong: {error}.", allowed) from error
    if unknown := found.keys() - set(EXCHANGES):
        raise BadInput("body", f"Unknown exchange {min(unknown)!r}.", allowed)
    return found
