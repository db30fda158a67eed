"""GET /udf/*: a data feed for TradingView's charting library and whatever else speaks UDF."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute

from common.errors import BadInput, Retryable
from web.api.schema import described, refused_as
from web.api.search import MOST_FOUND, MOST_LETTERS
from web.deps import Deps
from web.errors import NotFound, json_response, parameter_fault
from web.shapes.udf import symbols as shapes
from web.shapes.udf.history import MOST_BARS, history


class Refusal(msgspec.Struct, frozen=True):
    """How UDF says what is wrong."""

    s: str
    errmsg: str


class UdfRoute(APIRoute):
    """Refuses with `{"s":"error","errmsg":…}`, which TradingView's client reads whatever the status is."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                return _error(422, parameter_fault(error)[0])
            except BadInput as error:
                return _error(404 if isinstance(error, NotFound) else 422, str(error))
            except Retryable as error:
                return _error(503, str(error))

        return answer


def _error(status: int, sentence: str) -> Response:
    return json_response(Refusal("error", sentence), status)


router = APIRouter(prefix="/udf", route_class=UdfRoute, responses=refused_as(Refusal))


def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps


@router.get("/config", responses=described(dict[str, Any]), response_class=Response)
async def config(request: Request) -> Response:
    """What this feed can do."""
    known = _deps(request).exchanges
    names = [{"value": "", "name": "All exchanges", "desc": ""}]
    names += [{"value": one.upper(), "name": one.capitalize(), "desc": one.capitalize()} for one in known]
    types = [{"name": "All types", "value": ""}, {"name": "Crypto", "value": shapes.CRYPTO}]
    return json_response(
        {
            "supported_resolutions": shapes.RESOLUTIONS,
            "exchanges": names,
            "symbols_types": types,
            "supports_search": True,
            "supports_group_request": False,
            "supports_marks": False,
            "supports_timescale_marks": False,
            "supports_time": True,
        }
    )


@router.get("/time", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
async def time(request: Request) -> Response:
    """UTC seconds, as plain text."""
    return Response(str(_deps(request).clock.now_ms() // 1000), media_type="text/plain")


@router.get("/symbols", responses=described(dict[str, Any]), response_class=Response)
async def symbols(request: Request, symbol: str) -> Response:
    """One market: BINANCE:BTCUSDT, or a name without an exchange."""
    deps = _deps(request)
    return json_response(await shapes.described(deps, await shapes.resolve(deps, symbol)))


@router.get("/symbol_info", responses=described(dict[str, Any]), response_class=Response)
async def symbol_info(request: Request, group: Annotated[str, Query(description="an exchange")]) -> Response:
    """All markets of one exchange, as columns."""
    return json_response(await shapes.table(_deps(request), group))


@router.get("/search", responses=described(list[dict[str, str]]), response_class=Response)
async def search(
    request: Request,
    query: str = "",
    type: str = "",
    exchange: str = "",
    limit: Annotated[int, Query(description=f"at most {MOST_FOUND}")] = 30,
) -> Response:
    """Markets by whatever somebody types, the best first."""
    if type not in ("", shapes.CRYPTO) or limit < 1 or len(query) > MOST_LETTERS:
        return json_response([])
    deps, searched = _deps(request), request.app.state.searched
    index = await searched.index(deps)
    return json_response(await shapes.search(deps, index, query, exchange, min(limit, MOST_FOUND)))


@router.get("/history", responses=described(dict[str, Any]), response_class=Response)
async def bars(
    request: Request,
    symbol: str,
    resolution: Annotated[str, Query(description="minutes, or a count with D, W or M")],
    to: Annotated[int, Query(description="UTC seconds, excluded")],
    from_: Annotated[int | None, Query(alias="from", description="UTC seconds, included")] = None,
    countback: Annotated[
        int | None, Query(description=f"the newest, at most {MOST_BARS}; instead of from")
    ] = None,
) -> Response:
    """Columns `t o h l c v`; `no_data` with `nextTime`, the newest bar before, where the span has none."""
    return json_response(await history(_deps(request), symbol, resolution, from_, to, countback))


@router.get("/marks", responses=described(list[Any]), response_class=Response)
@router.get("/timescale_marks", responses=described(list[Any]), response_class=Response)
async def marks(request: Request) -> Response:
    """Nothing is marked."""
    return json_response([])
