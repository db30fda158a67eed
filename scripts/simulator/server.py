"""One ASGI application that plays all exchanges on one port."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from urllib.parse import unquote

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from common.clock import Clock
from common.errors import BadInput
from scripts.simulator import (
    binance_archive,
    binance_rest,
    binance_ws,
    bitfinex_rest,
    bitfinex_ws,
    bittrex_rest,
    bittrex_ws,
    bybit_rest,
    bybit_ws,
    coinbase_rest,
    coinbase_ws,
    kraken_rest,
    kraken_ws,
    okx_rest,
    okx_ws,
    own,
)
from scripts.simulator.bittrex_sequence import Sequences
from scripts.simulator.feed import Feed
from scripts.simulator.listings import EXCHANGES
from scripts.simulator.market import Market
from scripts.simulator.rest import json
from scripts.simulator.sockets import Sockets
from scripts.simulator.world import World, make_world

#: What is asked by REST and told by WebSocket, of the exchanges where neither knows of the other.
_PLAIN: dict[str, tuple[ModuleType, ModuleType]] = {
    "binance": (binance_rest, binance_ws),
    "bitfinex": (bitfinex_rest, bitfinex_ws),
    "bybit": (bybit_rest, bybit_ws),
    "coinbase": (coinbase_rest, coinbase_ws),
    "kraken": (kraken_rest, kraken_ws),
    "okx": (okx_rest, okx_ws),
}


def create_app(
    market: Market, clock: Clock, *, enforce_limits: bool = False, ended: Callable[[], None] = lambda: None
) -> ASGIApp:
    """The application; `enforce_limits` refuses whoever asks more than the real exchanges allow.

    `ended` is called when the live feeds have ended, which without a stop before it is a failure.
    """
    world = make_world(market, clock, enforce_limits=enforce_limits)
    hubs = {name: Sockets(name, clock, world.faults) for name in EXCHANGES}
    feeds = list[Feed]()
    routes = [*own.routes(world), *binance_archive.routes(world), *_bittrex(world, hubs["bittrex"], feeds)]
    for name, (rest, ws) in _PLAIN.items():
        feeds.append(Feed(world, hubs[name], ws.advance, ws.encode))
        routes += [*rest.routes(world), *ws.routes(world, hubs[name], feeds[-1])]

    @asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(feed.run()) for feed in feeds]
                tasks += [group.create_task(hub.keep_hanging_up()) for hub in hubs.values()]
                yield
                for task in tasks:
                    task.cancel()
        finally:
            ended()

    return _logged(world, Starlette(routes=routes, lifespan=running, exception_handlers={404: _unknown}))


def _bittrex(world: World, hub: Sockets, feeds: list[Feed]) -> list[BaseRoute]:
    """Its REST tells the sequence numbers of its socket."""
    sequences = Sequences()
    feeds.append(Feed(world, hub, bittrex_ws.advance, bittrex_ws.encoder(sequences)))
    return [*bittrex_rest.routes(world, sequences), *bittrex_ws.routes(world, hub, feeds[-1])]


async def _unknown(request: Request, error: Exception) -> Response:
    return json({"error": f"The simulator serves nothing at {request.url.path}."}, 404)


def _logged(world: World, app: ASGIApp) -> ASGIApp:
    """Write every request down before it is answered, WebSocket handshakes included."""

    async def logging(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and not scope["path"].startswith("/_sim"):
            entry = {
                "method": scope.get("method", "WS"),
                "path": scope["path"],
                "query": unquote(scope["query_string"].decode("latin-1")),
                "received_ms": world.clock.now_ms(),
            }
            world.log.append(entry)
            scope["logged"] = entry
        await app(scope, receive, send)

    return logging


async def serve(
    host: str,
    port: int,
    market: Market,
    clock: Clock,
    *,
    enforce_limits: bool = False,
    ready: Callable[[int], None] = lambda port: None,
) -> None:
    """Serve until cancelled or told to stop; `ready` learns the port once it is open (0 picks a free one)."""
    listening = listen(host, port)
    server, failed = make_server(market, clock, enforce_limits=enforce_limits)
    ready(listening.getsockname()[1])
    with listening:
        await server.serve([listening])
    if failed():
        raise RuntimeError("the simulator's live feeds ended; the traceback is above")


def make_server(
    market: Market, clock: Clock, *, enforce_limits: bool = False
) -> tuple[uvicorn.Server, Callable[[], bool]]:
    """A server not yet started, that stops when its `should_exit` is set, and whether its feeds failed."""
    asked_to_stop: list[bool] = []

    def ended() -> None:
        asked_to_stop.append(server.should_exit)
        server.should_exit = True

    logging.getLogger("uvicorn.error").addFilter(_is_trouble)
    app = create_app(market, clock, enforce_limits=enforce_limits, ended=ended)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="on",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        # The exchanges ping every 20 s and hang up after 60 s without an answer.
        ws_ping_interval=max(1.0, 20 / clock.rate),
        ws_ping_timeout=max(20.0, 60 / clock.rate),
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    return server, lambda: asked_to_stop[:1] == [False]


def _is_trouble(record: logging.LogRecord) -> bool:
    """A WebSocket that is refused with a status is none, though uvicorn says so."""
    return "without completing handshake" not in record.getMessage()


def listen(host: str, port: int) -> socket.socket:
    """A socket that already takes connections, so that whoever was told the port can use it."""
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise BadInput("port", f"The simulator cannot listen on {host}:{port}: {_reason(error)}.") from error
    listening.listen(2048)
    return listening


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
