"""The simulator's own endpoints: the truth, the log, the limits and the faults."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from common.errors import BadInput
from common.span import MINUTE_MS
from scripts.simulator import own_limits
from scripts.simulator.listings import EXCHANGES
from scripts.simulator.market import Symbol
from scripts.simulator.rest import json, wrong_answer
from scripts.simulator.world import World, take

_LONGEST = 1 << 40


def routes(world: World) -> list[BaseRoute]:
    """Everything below /_sim; none of it is logged."""

    async def truth(request: Request) -> Response:
        try:
            return await _truth(world, request)
        except BadInput as wrong:
            return wrong_answer(wrong)

    async def log(request: Request) -> Response:
        if request.method == "DELETE":
            world.log.clear()
        return json(list(world.log))

    async def faults(request: Request) -> Response:
        try:
            if request.method == "POST":
                world.faults.switch(await request.body())
        except BadInput as wrong:
            return wrong_answer(wrong)
        if request.method == "DELETE":
            world.faults.clear()
        return json(world.faults.listed())

    return [
        Route("/_sim/truth", truth),
        Route("/_sim/log", log, methods=["GET", "DELETE"]),
        *own_limits.routes(world),
        Route("/_sim/faults", faults, methods=["GET", "POST", "DELETE"]),
    ]


async def _truth(world: World, request: Request) -> Response:
    """Every finished candle of start..end as the exchange's REST serves it; `end` is excluded."""
    symbol = _named(world, request)
    start_ms, end_ms, now_ms = _ms(request, "start"), _ms(request, "end"), world.clock.now_ms()
    first, last = -(-start_ms // MINUTE_MS), min(-(-end_ms // MINUTE_MS), now_ms // MINUTE_MS) - 1
    rows = await take(world.market.rows(symbol, first, last, now_ms, newest=False), _LONGEST)
    return json([row[:6] for row in rows])


def _named(world: World, request: Request) -> Symbol:
    query = request.query_params
    exchange = query.get("exchange", "")
    if exchange not in EXCHANGES:
        raise BadInput("exchange", f"Unknown exchange {exchange!r}.", ", ".join(EXCHANGES))
    listed = world.market.symbols(exchange)
    names: list[set[str]] = []
    for field in ("base_id", "quote_id"):
        if not query.get(field):
            raise BadInput(field, f"{field} is missing.", "a currency, normalised or as the exchange spells it")
        names.append({query[field].upper()})
    for symbol in listed:
        if {symbol.base, symbol.native_base} & names[0] and {symbol.quote, symbol.native_quote} & names[1]:
            return symbol
    some = ", ".join(f"{symbol.base}/{symbol.quote}" for symbol in listed[:20])
    raise BadInput("base_id", f"{exchange} lists no {query['base_id']}/{query['quote_id']}.", some)


def _ms(request: Request, field: str) -> int:
    text = request.query_params.get(field, "")
    if not text.isdecimal():
        raise BadInput(field, f"{field} is not a time.", "UTC milliseconds")
    return int(text)
