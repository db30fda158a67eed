"""How Binance answers: its own form of a refusal, and what a request weighed in the headers of every answer."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from common.errors import BadInput, CandlehouseError, Retryable
from web.api.schema import described, refused_as
from web.deps import Deps
from web.errors import NotFound, json_response
from web.markets import known_exchange

#: errors.md of the same documents.
DISCONNECTED, UNSUPPORTED, ILLEGAL, UNREAD, MANDATORY = -1001, -1020, -1100, -1104, -1102
EMPTY, BAD_INTERVAL, BAD_SYMBOL, INVALID, BAD_JSON, BAD_TIME_UNIT = -1105, -1120, -1121, -1130, -1135, -1194
NO_WINDOW = -2016

WEIGHTS = {"klines": 2, "uiKlines": 2, "exchangeInfo": 20, "24hr": 2, "price": 2}


class Refused(CandlehouseError):
    """What Binance would refuse, with its code."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Refusal(msgspec.Struct, frozen=True):
    """How Binance says what is wrong."""

    code: int
    msg: str


class BinanceRoute(APIRoute):
    """Candlehouse limits nobody's weight, so the headers tell a request's own and never grow."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        weight = str(WEIGHTS.get(self.path.rpartition("/")[2], 1))

        async def answer(request: Request) -> Response:
            try:
                _check_time_unit(request)
                response = await handle(request)
            except (Refused, BadInput, Retryable) as error:
                refused = _refused(error)
                response = json_response(Refusal(refused.code, str(refused)), refused.status)
            response.headers["X-MBX-USED-WEIGHT"] = response.headers["X-MBX-USED-WEIGHT-1M"] = weight
            return response

        return answer


def _refused(error: CandlehouseError) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, NotFound):
        return Refused(BAD_SYMBOL, str(error), 404)
    return Refused(INVALID, str(error)) if isinstance(error, BadInput) else Refused(DISCONNECTED, str(error), 503)


def _check_time_unit(request: Request) -> None:
    if request.headers.get("x-mbx-time-unit", "MILLISECOND").upper() != "MILLISECOND":
        raise Refused(BAD_TIME_UNIT, "Invalid value for time unit; Candlehouse tells milliseconds alone.")


async def exchange_of(request: Request) -> str:
    """The exchange that the address names; without one, it is Binance itself."""
    return known_exchange(request.app.state.deps, request.path_params.get("exchange", "binance"))


async def _named(request: Request, exchange: str) -> None:
    """Declares the parameter that stands in the address."""
    await exchange_of(request)


def routers(routes: Iterable[tuple[str, Callable[..., Any], Any]]) -> APIRouter:
    """Paths, what answers them, and with which type; below Binance's own base and below that of any exchange."""
    both = APIRouter(route_class=BinanceRoute, responses=refused_as(Refusal))
    for prefix, needs in (("/binance/api/v3", []), ("/binance/{exchange}/api/v3", [Depends(_named)])):
        for path, endpoint, answer in routes:
            both.add_api_route(
                prefix + path,
                endpoint,
                name=f"{endpoint.__name__} of {'one exchange' if needs else 'binance'}",
                methods=["GET"],
                dependencies=needs,
                responses=described(answer),
                response_class=Response,
            )
    return both


def deps_of(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps
