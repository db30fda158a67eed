"""The page where a person shows the token once, and gets a cookie for it; see `web.door` for what that opens."""

import re
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from web import session
from web.deps import Deps
from web.guesses import Guesses
from web.pages import templates
from web.visitors import Visitors

router = APIRouter(include_in_schema=False)

MOST_BYTES = 4096
#: A path of ours. Browsers read a backslash as a slash and skip tabs, so `/\evil` would lead to another host.
_LOCAL = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")

Next = Annotated[str, Query(alias="next")]


@router.get("/sign-in")
async def sign_in(request: Request, onward: Next = "/") -> Response:
    deps: Deps = request.app.state.deps
    visitors: Visitors = request.app.state.visitors
    if await visitors.signed_in(request, deps):
        return _onward(request, onward)
    return _page(request)


@router.post("/sign-in")
async def enter(request: Request, onward: Next = "/") -> Response:
    deps: Deps = request.app.state.deps
    guesses: Guesses = request.app.state.guesses
    visitors: Visitors = request.app.state.visitors
    given = await _given(request)
    visitor = await visitors.showing(given, deps) if given else None
    # From here on nothing waits, or many could pass the count together.
    if wait_s := guesses.wait_s():
        answer = _page(request, f"Too many wrong tokens. Try again in {wait_s} seconds.", 429)
        answer.headers["Retry-After"] = str(wait_s)
        return answer
    if visitor is None:
        guesses.add()
        answer = _page(request, "That is neither the token nor a key.", 401)
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    onwards = _onward(request, onward)
    _set_cookie(request, onwards, visitors.cookie(visitor, deps), session.KEPT_S)
    return onwards


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """No other site can do it to anybody: `web.origins` refuses what its pages post."""
    answer = RedirectResponse(f"{request.scope.get('root_path', '')}/sign-in", 303)
    _set_cookie(request, answer, "", 0)
    return answer


def local(path: str) -> str:
    """`path` if it leads to a page here, else the first page."""
    return path if _LOCAL.fullmatch(path) and not path.startswith(("/sign-in", "/sign-out")) else "/"


def _onward(request: Request, path: str) -> Response:
    return RedirectResponse(request.scope.get("root_path", "") + local(path), 303)


def _page(request: Request, problem: str = "", status: int = 200) -> HTMLResponse:
    told = {"problem": problem, "is_public": request.app.state.deps.is_public}
    return templates.TemplateResponse(request, "sign_in.html", told, status, {"Cache-Control": "no-store"})


async def _given(request: Request) -> str:
    """The form's token; nothing when the body is no form of ours."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return ""
    return parse_qs(body.decode(errors="replace")).get("token", [""])[0].strip()


def _set_cookie(request: Request, answer: Response, value: str, kept_s: int) -> None:
    """Whoever says wrongly that it came by https, as a proxy says it, only keeps the cookie from itself."""
    secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
    answer.set_cookie(
        session.COOKIE, value, max_age=kept_s, path="/", secure=secure, httponly=True, samesite="strict"
    )
