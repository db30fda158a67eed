"""The two chart libraries, served from their npm packages; nothing else of those is exposed."""

from pathlib import Path

import structlog
from fastapi import APIRouter
from fastapi.responses import FileResponse, PlainTextResponse, Response

log = structlog.get_logger(__name__)

NODE_MODULES = Path(__file__).parents[1] / "node_modules"

#: The name that pages use -> the package's file.
FILES = {
    "lightweight-charts.js": "lightweight-charts/dist/lightweight-charts.standalone.production.mjs",
    "chart.js": "chart.js/dist/chart.umd.min.js",
}
MISSING = "The chart libraries are not installed. Run `make up` or `npm ci` in the project's folder, then reload."


router = APIRouter(prefix="/static/vendor", include_in_schema=False)


def missing() -> str:
    """What to do about libraries that are not there; empty when all are."""
    lost = [path for path in FILES.values() if not (NODE_MODULES / path).is_file()]
    if lost:
        log.warning(MISSING, missing=lost, folder=str(NODE_MODULES))
    return MISSING if lost else ""


@router.get("/{name}")
async def library(name: str) -> Response:
    path = NODE_MODULES / FILES[name] if name in FILES else None
    if path is None or not path.is_file():
        return PlainTextResponse(MISSING if path else "Not Found", 404)
    return FileResponse(path, media_type="text/javascript")
