"""The pages that people look at. What is on them comes from the REST routes and the WebSocket."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

from web import session, vendor

router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(Path(__file__).parent / "templates")


@router.get("/")
async def home(request: Request) -> RedirectResponse:
    return RedirectResponse(request.scope.get("root_path", "") + "/view/wschart")


@router.get("/view/wschart")
async def chart(request: Request) -> HTMLResponse:
    return _page(request, "wschart.html")


@router.get("/view/analytics/general")
async def analytics(request: Request) -> HTMLResponse:
    return _page(request, "analytics.html")


@router.get("/view/coverage")
async def coverage(request: Request) -> HTMLResponse:
    return _page(request, "coverage.html")


def _page(request: Request, template: str) -> HTMLResponse:
    signed_in = session.COOKIE in request.cookies
    exchanges = request.app.state.deps.exchanges
    told = {"missing": vendor.missing(), "signed_in": signed_in, "exchanges": exchanges}
    return templates.TemplateResponse(request, template, told)
