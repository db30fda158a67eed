"""/api/keys: the keys of this web, for whoever may do everything."""

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from app import keys as made
from app.keys import Key
from web.api.schema import described
from web.deps import Deps
from web.errors import NotFound, json_response

router = APIRouter()


class KeyRow(msgspec.Struct, frozen=True, gc=False):
    """Moments are UTC ms; `expires` null: until it is revoked. `used` is right within a minute."""

    id: int
    name: str
    scope: str
    per_minute: int
    created: int
    expires: int | None
    used: int | None
    revoked: int | None


class MadeKey(msgspec.Struct, frozen=True, gc=False):
    """`key` is told here and never again."""

    id: int
    key: str


class AskedKey(BaseModel):
    """`days` it lasts; 0: until it is revoked."""

    name: str
    scope: str = made.Scope.READ.value
    per_minute: int = made.PER_MINUTE
    days: int = 0


def row(one: Key) -> KeyRow:
    return KeyRow(
        one.id,
        one.name,
        one.scope.value,
        one.per_minute,
        one.created_ms,
        one.expires_ms,
        one.used_ms,
        one.revoked_ms,
    )


@router.get("/api/keys", responses=described(list[KeyRow]), response_class=Response)
async def keys(request: Request) -> Response:
    """All keys that were ever made, none of which can be read back."""
    deps: Deps = request.app.state.deps
    return json_response([row(one) for one in await deps.keys.all()])


@router.post("/api/keys", status_code=201, responses=described(MadeKey, 201), response_class=Response)
async def add(request: Request, asked: AskedKey) -> Response:
    """Make a key. The answer alone holds it."""
    deps: Deps = request.app.state.deps
    wished = made.wish(asked.name, asked.scope, asked.per_minute, asked.days)
    key = made.new_key()
    number = await deps.keys.add(wished, made.digest(key), deps.clock.now_ms())
    answer = json_response(MadeKey(number, key), 201)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.delete("/api/keys/{number}", status_code=204, responses=described(None, 204), response_class=Response)
async def revoke(request: Request, number: int) -> Response:
    """Have a key open nothing any more, within ten seconds."""
    deps: Deps = request.app.state.deps
    if not 0 < number < 2**31 or not await deps.keys.revoke(number, deps.clock.now_ms()):
        raise NotFound("number", f"There is no key {number} to revoke.")
    return Response(status_code=204)
