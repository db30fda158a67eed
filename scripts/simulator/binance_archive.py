"""Archives of Binance spot candles as data.binance.vision publishes them (github.com/binance/binance-public-data).

`/data/spot/{monthly|daily}/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01[-31].zip` holds one CSV with REST's twelve
columns; beside it stands `….zip.CHECKSUM`. A day is published when it is over, a month on the first Monday after
it. Times are milliseconds up to 2024 and microseconds from 2025-01-01 on.
"""

import io
import re
import zipfile
from collections import OrderedDict
from datetime import UTC, datetime
from hashlib import sha256

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from common.span import DAY_MS, MINUTE_MS, Span
from scripts.simulator.faults import Kind
from scripts.simulator.market import Row, Symbol
from scripts.simulator.text import fixed8
from scripts.simulator.world import World, take

_MICROSECONDS_FROM_MS = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) * 1000
_NAME = re.compile(
    r"(?P<native>\w+)-1m-(?P<year>\d{4})-(?P<month>\d\d)(?:-(?P<day>\d\d))?\.zip(?P<sum>\.CHECKSUM)?"
)
_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore\n"
)
#: So many finished archives are kept; a month takes a second to make.
_KEPT = 40


class Archives:
    """Makes each archive once; faults make other ones."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made: OrderedDict[tuple[str, bytes], bytes] = OrderedDict()

    async def answer(self, request: Request) -> Response:
        """A zip, its checksum, or 404 for what is not published."""
        found = _NAME.fullmatch(request.path_params["name"])
        symbol = found and self._world.market.find("binance", found["native"])
        daily = request.path_params["period"] == "daily"
        span = _span(found["year"], found["month"], found["day"]) if found else None
        if not found or not symbol or not span or bool(found["day"]) != daily or not self._published(symbol, span):
            return Response("<Error><Code>NoSuchKey</Code></Error>", 404, media_type="application/xml")
        name = found[0].removesuffix(".CHECKSUM")
        archive = await self._archive(symbol, span, name)
        if archive is None:
            return Response("<Error><Code>NoSuchKey</Code></Error>", 404, media_type="application/xml")
        if found["sum"]:
            return Response(self._checksum(symbol, span, archive, name))
        if self._world.faults.spend("binance", "truncate"):
            archive = archive[: len(archive) // 2]
        return Response(archive, media_type="application/zip")

    def _published(self, symbol: Symbol, span: Span) -> bool:
        now_ms = self._world.clock.now_ms()
        over_ms = span.end_ms if span.end_ms - span.start_ms == DAY_MS else _monday_from(span.end_ms)
        return now_ms >= over_ms and not self._on("archive_missing", symbol, span)

    async def _archive(self, symbol: Symbol, span: Span, name: str) -> bytes | None:
        key = (name, msgspec.json.encode(self._world.faults.listed()))
        if key not in self._made:
            rows = await self._rows(symbol, span)
            if not rows:
                return None
            self._made[key] = self._zipped(symbol, span, name, rows)
        self._made.move_to_end(key)
        while len(self._made) > _KEPT:
            self._made.popitem(last=False)
        return self._made[key]

    async def _rows(self, symbol: Symbol, span: Span) -> list[Row]:
        """All minutes; a draft, which is issued again later, lacks its last hour and has a wrong first close."""
        first, last = span.start_ms // MINUTE_MS, span.end_ms // MINUTE_MS - 1
        asked = self._world.market.rows(symbol, first, last, self._world.clock.now_ms(), newest=False)
        rows = await take(asked, last - first + 1)
        if rows and self._on("archive_draft", symbol, span):
            rows = [rows[0]._replace(close=rows[0].low), *rows[1:-60]]
        return rows

    def _zipped(self, symbol: Symbol, span: Span, name: str, rows: list[Row]) -> bytes:
        text = io.StringIO()
        text.write(_HEADER if self._on("archive_header", symbol, span) else "")
        factor = 1000 if span.start_ms >= _MICROSECONDS_FROM_MS else 1
        text.writelines(line(row, factor) for row in rows)
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(name.replace(".zip", ".csv")), text.getvalue(), zipfile.ZIP_DEFLATED)
        whole = written.getvalue()
        return whole[: len(whole) // 2] if self._on("archive_truncated", symbol, span) else whole

    def _checksum(self, symbol: Symbol, span: Span, archive: bytes, name: str) -> str:
        wrong = b"wrong" if self._on("archive_checksum", symbol, span) else b""
        return f"{sha256(archive + wrong).hexdigest()}  {name}\n"

    def _on(self, kind: Kind, symbol: Symbol, span: Span) -> bool:
        return self._world.faults.archive(kind, symbol, span) is not None


def routes(world: World) -> list[BaseRoute]:
    """Everything below /binance/archive; no request of it has a weight."""
    path = "/binance/archive/data/spot/{period}/klines/{native}/1m/{name}"
    return [Route(path, Archives(world).answer, methods=["GET", "HEAD"])]


def line(row: Row, factor: int) -> str:
    """A line of the CSV, its times in 1/`factor` milliseconds."""
    close_time = (row.open_ms + MINUTE_MS) * factor - 1
    prices = ",".join(map(fixed8, (row.open, row.high, row.low, row.close, row.volume)))
    taken = f"{fixed8(row.taker_volume)},{fixed8(row.taker_quote_volume)}"
    return f"{row.open_ms * factor},{prices},{close_time},{fixed8(row.quote_volume)},{row.trades},{taken},0\n"


def _span(year: str, month: str, day: str | None) -> Span | None:
    try:
        start = datetime(int(year), int(month), int(day or 1), tzinfo=UTC)
    except ValueError:
        return None
    start_ms = round(start.timestamp() * 1000)
    if day:
        return Span(start_ms, start_ms + DAY_MS)
    end = datetime(start.year + start.month // 12, start.month % 12 + 1, 1, tzinfo=UTC)
    return Span(start_ms, round(end.timestamp() * 1000))


def _monday_from(ms: int) -> int:
    """The first Monday 00:00 that is not before `ms`."""
    return ms + (-datetime.fromtimestamp(ms / 1000, UTC).weekday()) % 7 * DAY_MS
