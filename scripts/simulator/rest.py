"""What every REST request goes through: limits, bans, slowness, cut answers."""

import math
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from common.errors import BadInput
from scripts.simulator.limits import Verdict
from scripts.simulator.world import World

Answer = Callable[[World, Request], Awaitable[Response]]

_TOO_MUCH = (
    "Too much request weight used; current limit is %d request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API."
)


def route(world: World, exchange: str, path: str, answer: Answer, *, weight: int = 1) -> Route:
    """`answer` at `path`, behind everything that can go wrong before and after it."""

    async def endpoint(request: Request) -> Response:
        address = request.client.host if request.client else ""
        verdict = world.limits.judge(exchange, address, path, weight)
        refused = _refusal(world, exchange, address, path, verdict)
        world.limits.note(exchange, address, path, weight, verdict.used, refused.status_code if refused else 200)
        response = refused or await _answered(world, exchange, answer, request)
        if exchange == "binance":
            response.headers["x-mbx-used-weight"] = response.headers["x-mbx-used-weight-1m"] = str(verdict.used)
        request.scope["logged"]["status"] = response.status_code
        return response

    return Route(path, endpoint, methods=["GET", "HEAD"])


async def _answered(world: World, exchange: str, answer: Answer, request: Request) -> Response:
    if slow := world.faults.find(exchange, "slow"):
        await world.clock.sleep(slow.seconds)
    response = await answer(world, request)
    if world.faults.spend(exchange, "truncate"):
        half = bytes(response.body)[: len(response.body) // 2]
        request.scope["logged"]["cut"] = True
        return Response(half, response.status_code, media_type="application/json")
    return response


def _refusal(world: World, exchange: str, address: str, path: str, verdict: Verdict) -> Response | None:
    now_ms = world.clock.now_ms()
    if block := world.faults.find(exchange, "geo_block"):
        return _blocked(exchange, block.status)
    ban = world.faults.find(exchange, "ban")
    if ban is not None and world.faults.age_s(ban) < ban.seconds:
        return _banned(world, exchange, ban.seconds - world.faults.age_s(ban), now_ms)
    if limited := world.faults.spend(exchange, "rate_limit"):
        verdict = world.limits.refuse(exchange, address, path, limited.retry_after_s)
    if verdict.status == 418:
        return _banned(world, exchange, verdict.wait_s, now_ms)
    if verdict.status == 429:
        return _throttled(world, exchange, verdict.wait_s)
    if world.faults.find(exchange, "maintenance"):
        return _closed(exchange)
    return None


def _throttled(world: World, exchange: str, wait_s: float) -> Response:
    if exchange == "binance":
        words = _TOO_MUCH % world.limits.stated[exchange]
        return json({"code": -1003, "msg": words}, 429, {"retry-after": str(math.ceil(wait_s))})
    if exchange == "bitfinex":
        return json(["error", 11010, "ratelimit: error"], 429)
    if exchange == "okx":
        return json({"code": "50011", "msg": "Too Many Requests", "data": []}, 429)
    if exchange == "bybit":
        return json({"retCode": 10006, "retMsg": "Too many visits!", "result": {}, "retExtInfo": {}})
    if exchange == "coinbase":
        return json({"message": "Public rate limit exceeded"}, 429)
    if exchange == "kraken":
        return json({"error": ["EGeneral:Too many requests"]})
    return json({"code": "THROTTLED"}, 429)


def _banned(world: World, exchange: str, left_s: float, now_ms: int) -> Response:
    if exchange == "bybit":
        return Response("403, access too frequent", 403)
    if exchange != "binance":
        return _throttled(world, exchange, left_s)
    until_ms = now_ms + round(left_s * 1000)
    words = f"Way too much request weight used; IP banned until {until_ms}. Please use WebSocket Streams."
    return json({"code": -1003, "msg": words}, 418, {"retry-after": str(math.ceil(left_s))})


def _blocked(exchange: str, status: int) -> Response:
    """As Binance says it, or as whoever stands before an exchange does."""
    if exchange == "binance" and status == 451:
        words = "Service unavailable from a restricted location according to 'b. Eligibility' in the terms."
        return json({"code": 0, "msg": words}, status)
    return Response("<html><h1>403 ERROR</h1>The request could not be satisfied.</html>", status)


def _closed(exchange: str) -> Response:
    if exchange == "bitfinex":
        return json(["error", 20060, "maintenance"], 503)
    if exchange == "binance":
        return json({"code": -1016, "msg": "This service is no longer available."}, 503)
    if exchange == "okx":
        words = "Service temporarily unavailable. Please try again later."
        return json({"code": "50001", "msg": words, "data": []}, 503)
    if exchange == "bybit":
        return json({"retCode": 10016, "retMsg": "Service unavailable.", "result": {}, "retExtInfo": {}})
    if exchange == "coinbase":
        return json({"message": "Service unavailable"}, 503)
    if exchange == "kraken":
        return json({"error": ["EService:Unavailable"]})
    return json({"code": "SERVICE_UNAVAILABLE"}, 503)


def wrong_answer(wrong: BadInput) -> Response:
    """What a wrong question to the simulator itself is answered."""
    return json({"field": wrong.field, "error": wrong.sentence, "allowed": wrong.allowed}, 422)


def json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; the headers' names are lower case."""
    return raw(msgspec.json.encode(value), status, headers)


def raw(body: bytes | str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer whose JSON text is ready."""
    return Response(body, status, dict(headers or {}), media_type="application/json")
