"""Which names the web answers to, and which other sites' pages may ask it anything.

A page of another site can make a browser on this machine send requests here. It cannot read the answers, unless
its own name is made to lead here (DNS rebinding): so where nobody but this machine is let in, a name with a dot is
not answered. WebSockets can be read by any page, and writing needs no answer to be read: both are for pages of our
own and of CORS_ORIGINS.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response

from web.deps import Deps
from web.errors import refusal

SAFE = ("GET", "HEAD", "OPTIONS")
#: What a page of CORS_ORIGINS may do, and for how long a browser remembers that.
ALLOWED = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}
READABLE = "ETag, Link, Retry-After"


def refuse(asked: HTTPConnection, deps: Deps) -> Response | None:
    """What keeps the request outside whoever asks; None lets it on."""
    host = asked.headers.get("host", "")
    if not _is_ours(host, deps):
        sentence = "This Candlehouse does not answer to that name; ALLOWED_HOSTS in its settings names others."
        return refusal(421, sentence, "Host", ", ".join(sorted(deps.hosts)) or "localhost")
    origin = asked.headers.get("origin")
    writes = asked.scope["type"] == "websocket" or asked.scope["method"] not in SAFE
    if origin is None or not writes or _is_same(origin, host) or origin in deps.origins:
        return None
    sentence = "Pages of that site may not use this Candlehouse; CORS_ORIGINS in its settings names others."
    return refusal(403, sentence, "Origin", "")


def preflight(asked: HTTPConnection, deps: Deps) -> Response | None:
    """The answer to a browser that asks beforehand what a page of another site may do."""
    headers = asked.headers
    if asked.scope.get("method") != "OPTIONS" or "access-control-request-method" not in headers:
        return None
    if headers.get("origin") not in deps.origins:
        return Response(status_code=403)
    return Response(status_code=204, headers=ALLOWED)


def share(asked: HTTPConnection, deps: Deps, headers: MutableHeaders) -> None:
    """Let pages of CORS_ORIGINS read the answer. Cookies are never for them: they send a key."""
    if not deps.origins:
        return
    headers.add_vary_header("Origin")
    if (origin := asked.headers.get("origin", "")) in deps.origins:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = READABLE


def _is_ours(host: str, deps: Deps) -> bool:
    """A name without a dot is nobody's on the internet, and an address cannot be made to lead elsewhere."""
    if deps.is_public and not deps.hosts:
        return True  # whoever shows no token gets nothing, whatever the name
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if "." not in name or name in deps.hosts or name.endswith(".localhost"):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_same(origin: str, host: str) -> bool:
    """A proxy may have taken https off, so the scheme is not compared."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower() != ""
    except ValueError:
        return False
