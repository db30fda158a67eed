"""What a handler costs that does nothing but ask PostgreSQL and encode: the rival of GET /api/ohlcvs.

Run as the web is: `uvicorn bare_web:app`, with DATABASE_URL in the environment.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import itemgetter

import asyncpg
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.stores.database import SESSION, set_millisecond_codec
from web.wired import POOL_SIZE

#: That of app.stores.candles for minutes.
MINUTES = (
    "SELECT time, open, high, low, close, volume, quote_volume, trades "
    "FROM candles WHERE symbol_id = $1 AND time >= $2 AND time < $3 ORDER BY time DESC LIMIT $4"
)
NAMES = ("time", "open", "high", "low", "close", "volume")
six = itemgetter(*range(6))


async def minutes(request: Request) -> Response:
    asked = [int(request.query_params[name]) for name in ("symbol_id", "start", "end", "limit")]
    async with request.app.state.pool.acquire() as connection:
        rows = await connection.fetch(MINUTES, *asked)
    found = [dict(zip(NAMES, six(row), strict=True)) for row in reversed(rows)]
    return Response(msgspec.json.encode(found), media_type="application/json")


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[None]:
    options = {
        "min_size": POOL_SIZE,
        "max_size": POOL_SIZE,
        "init": set_millisecond_codec,
        "server_settings": SESSION,
    }
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], **options) as app.state.pool:
        yield


app = Starlette(routes=[Route("/minutes", minutes)], lifespan=serving)
