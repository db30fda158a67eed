"""The pages that people look at. What is on them comes from the REST routes and the WebSocket."""

from pathlib import Path
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

from common.interval import Interval
from web import session, vendor


class Range(NamedTuple):
    """A button of the chart: how far back, and in bars of which timeframe."""

    name: str
    interval: Interval
    bars: int
    says: str


RANGES = (
    Range("1h", Interval.M1, 60, "last hour"),
    Range("6h", Interval.M5, 72, "last 6 hours"),
    Range("1D", Interval.M15, 96, "last day"),
    Range("3D", Interval.M30, 144, "last 3 days"),
    Range("7D", Interval.H1, 168, "last 7 days"),
    Range("1M", Interval.H6, 120, "last month"),
    Range("3M", Interval.H12, 180, "last 3 months"),
    Range("1Y", Interval.D1, 365, "last year"),
    Range("3Y", Interval.D7, 157, "last 3 years"),
)

#: What the chart is made of: browsers are told at once, and need not find each module in the one before.
MODULES = [
    "vendor/lightweight-charts.js",
    *(f"js/{name}.js" for name in ("api", "dom", "feed", "fills", "format", "search", "widgets")),
    *sorted(f"js/chart/{path.name}" for path in (Path(__file__).parent / "static/js/chart").glob("*.js")),
]

router = APIRouter(include_in_schema=False)


def _root(request: Request) -> dict[str, str]:
    """What a proxy puts before our paths."""
    return {"root": request.scope.get("root_path", "")}


templates = Jinja2Templates(Path(__file__).parent / "templates", context_processors=[_root])


@router.get("/")
async def home(request: Request) -> RedirectResponse:
    return RedirectResponse(request.scope.get("root_path", "") + "/view/wschart")


@router.get("/view/wschart")
async def chart(request: Request) -> HTMLResponse:
    return _page(request, "wschart.html", intervals=list(Interval), ranges=RANGES, modules=MODULES)


@router.get("/view/analytics/general")
async def analytics(request: Request) -> HTMLResponse:
    return _page(request, "analytics.html")


@router.get("/view/coverage")
async def coverage(request: Request) -> HTMLResponse:
    return _page(request, "coverage.html")


@router.get("/view/status")
async def status(request: Request) -> HTMLResponse:
    return _page(request, "status.html")


@router.get("/view/{name:path}")
async def nowhere(request: Request, name: str) -> HTMLResponse:
    return _page(request, "nowhere.html", 404)


def _page(request: Request, template: str, answer_status: int = 200, **more: Any) -> HTMLResponse:
    signed_in = session.COOKIE in request.cookies
    exchanges = request.app.state.deps.exchanges
    told = {"missing": vendor.missing(), "signed_in": signed_in, "exchanges": exchanges, **more}
    return templates.TemplateResponse(request, template, told, answer_status)
