"""The web application: `uvicorn web.main:app --ws web.live.sockets:Sockets`.

Importing this connects to nothing and reads no environment.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from app.metrics.process import watched_process
from common.errors import BadInput
from web import errors, pages, sign_in, vendor
from web.api import (
    analytics,
    asyncapi,
    bars,
    coverage,
    events,
    exchanges,
    health,
    jobs,
    keys,
    latest,
    metrics,
    revisions,
    search,
    selftest,
    symbols,
    targets,
)
from web.api.schema import refusals
from web.bounds import Bounds
from web.bulk.response import MOST_AT_ONCE
from web.compression import Compression
from web.counting import Counting
from web.deps import OpenDeps
from web.door import Door
from web.guesses import Guesses
from web.headers import Headers
from web.live import endpoint
from web.live.hub import open_hub
from web.searched import Searched
from web.shapes import ccxt
from web.shapes.binance import routes as binance
from web.shapes.udf import routes as udf
from web.visitors import Visitors
from web.wired import open_wired

log = structlog.get_logger(__name__)

STATIC = Path(__file__).parent / "static"
#: Modules with routes, in the order in which they are asked.
ROUTED = (
    bars,
    revisions,
    symbols,
    search,
    latest,
    coverage,
    events,
    analytics,
    selftest,
    keys,
    jobs,
    exchanges,
    health,
    metrics,
    targets,
    endpoint,
    asyncapi,
    binance,
    udf,
    ccxt,
    vendor,
    pages,
    sign_in,
)


def create_app(open_deps: OpenDeps) -> FastAPI:
    """An application that opens what it needs when it starts to serve, and closes it at the end."""
    app = FastAPI(
        title="Candlehouse",
        description="Candles of every timeframe by REST; live by WebSocket at /api/ohlcvs.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lambda app: _serving(app, open_deps),
        responses=refusals(),
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for module in ROUTED:
        app.include_router(module.router)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.state.guesses, app.state.visitors = Guesses(), Visitors()
    app.state.answered = {}
    app.state.bulk_places = asyncio.Semaphore(MOST_AT_ONCE)
    app.state.searched = Searched()
    app.add_middleware(Compression)
    app.add_middleware(Bounds)
    app.add_middleware(Door, app.state.visitors)
    app.add_middleware(Headers)
    app.add_middleware(Counting)
    errors.install(app)
    return app


@asynccontextmanager
async def _serving(app: FastAPI, open_deps: OpenDeps) -> AsyncIterator[None]:
    """What cannot be opened and what breaks unexpectedly end the process, for a supervisor to start it again."""
    serving = False
    try:
        async with open_deps() as deps, open_hub(deps) as hub:
            with watched_process() as app.state.process:
                app.state.deps, app.state.hub = deps, hub
                serving = True
                yield
            return
    except* BadInput as refused:
        log.error(str(refused.exceptions[0]))
    except* Exception:
        log.exception("The web stops")
    signal.raise_signal(signal.SIGTERM)
    if not serving:
        yield


app = create_app(open_wired)
