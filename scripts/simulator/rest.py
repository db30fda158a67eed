"""What every REST request goes through: limits, bans, slowness, cut answers."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scripts.simulator.world import World

Answer = Callable[[World, Request], Awaitable[Response]]

#: Weight a minute that the real exchange allows, and what it counts by.
_LIMITS = {"binance": 6000, "bitfinex": 30, "bittrex": 60}

_TOO_MUCH = (
    "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API."
)


def route(world: World, exchange: str, path: str, answer: Answer, *, weight: int = 1) -> Route:
    """`answer` at `path`, behind everything that can go wrong before and after it."""

    async def endpoint(request: Request) -> Response:
        # Bitfinex counts each endpoint by itself, the others everything together.
        spent = world.spend(exchange, path if exchange == "bitfinex" else "", weight)
        refused = _refusal(world, exchange, spent)
        response = refused or await _answered(world, exchange, answer, request)
        if exchange == "binance":
            response.headers["x-mbx-used-weight"] = response.headers["x-mbx-used-weight-1m"] = str(spent)
        return response

    return Route(path, endpoint, methods=["GET", "HEAD"])


async def _answered(world: World, exchange: str, answer: Answer, request: Request) -> Response:
    if slow := world.faults.find(exchange, "slow"):
        await world.clock.sleep(slow.seconds)
    response = await answer(world, request)
    if world.faults.spend(exchange, "truncate"):
        half = bytes(response.body)[: len(response.body) // 2]
        return Response(half, response.status_code, media_type="application/json")
    return response


def _refusal(world: World, exchange: str, spent: int) -> Response | None:
    now_ms = world.clock.now_ms()
    ban = world.faults.find(exchange, "ban")
    if ban is not None and world.faults.age_s(ban) < ban.seconds:
        return _banned(exchange, ban.seconds - world.faults.age_s(ban), now_ms)
    limited = world.faults.spend(exchange, "rate_limit")
    over = world.enforce_limits and spent > _LIMITS[exchange]
    if limited or over:
        told_ms = world.refused_until_ms.get(exchange, 0)
        wait_s = limited.retry_after_s if limited else 60 - now_ms % 60_000 / 1000
        if exchange == "binance" and now_ms < told_ms:
            # Whoever goes on asking while told to wait is banned, two minutes at first.
            return _banned(exchange, 120, now_ms)
        world.refused_until_ms[exchange] = now_ms + round(wait_s * 1000)
        return _throttled(exchange, wait_s)
    if world.faults.find(exchange, "maintenance"):
        return _closed(exchange)
    return None


def _throttled(exchange: str, wait_s: float) -> Response:
    if exchange == "binance":
        retry = {"retry-after": str(max(1, round(wait_s)))}
        return json({"code": -1003, "msg": _TOO_MUCH}, 429, retry)
    if exchange == "bitfinex":
        return json(["error", 11010, "ratelimit: error"], 429)
    return json({"code": "THROTTLED"}, 429)


def _banned(exchange: str, left_s: float, now_ms: int) -> Response:
    if exchange != "binance":
        return _throttled(exchange, left_s)
    until_ms = now_ms + round(left_s * 1000)
    words = f"Way too much request weight used; IP banned until {until_ms}. Please use WebSocket Streams."
    return json({"code": -1003, "msg": words}, 418, {"retry-after": str(max(1, round(left_s)))})


def _closed(exchange: str) -> Response:
    if exchange == "bitfinex":
        return json(["error", 20060, "maintenance"], 503)
    if exchange == "binance":
        return json({"code": -1016, "msg": "This service is no longer available."}, 503)
    return json({"code": "SERVICE_UNAVAILABLE"}, 503)


def json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; the headers' names are lower case."""
    return raw(msgspec.json.encode(value), status, headers)


def raw(body: bytes | str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer whose JSON text is ready."""
    return Response(body, status, dict(headers or {}), media_type="application/json")
