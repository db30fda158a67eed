"""The docs say what the program is: settings, routes, commands, links."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute
from typer import Context
from typer.core import TyperGroup
from typer.main import get_command

from app.roles import MOST_MESSAGE_BYTES
from app.settings import known_variables
from app.settings_checks import COMPOSE_ONLY
from scripts.cli import app as cli
from web.main import app as web

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def first_column(page: str) -> set[str]:
    """What stands in backquotes at the start of each table row."""
    return set(re.findall(r"^\| `([^`]+)`", (DOCS / "reference" / page).read_text(), re.MULTILINE))


def test_every_setting_is_described_and_nothing_else() -> None:
    assert first_column("settings.md") == {*known_variables(), *COMPOSE_ONLY}


def test_settings_named_anywhere_exist() -> None:
    table = (DOCS / "reference/constants.md").read_text()
    now = re.findall(r"^\|[^|]+\|([^|]+)\|$", table, re.MULTILINE)
    told = {name for cell in now for name in re.findall(r"`([A-Z][A-Z]+_[A-Z_]+)`", cell)}
    assert told <= set(known_variables())


def routes() -> Iterator[str]:
    included = [getattr(route, "original_router", None) for route in web.routes]
    for route in (route for router in included if router for route in router.routes):
        if isinstance(route, APIWebSocketRoute):
            yield f"WS {route.path}"
        elif isinstance(route, APIRoute):
            yield from (f"{method} {route.path}" for method in route.methods)
    yield f"GET {web.openapi_url}"


def test_every_route_is_described_and_nothing_else() -> None:
    described = {row for row in first_column("http.md") if row.startswith(("GET ", "POST ", "DELETE ", "WS "))}
    assert described == set(routes())


def test_the_web_that_is_started_by_hand_has_the_bounds_of_its_role() -> None:
    command = f"uvicorn web.main:app --ws web.live.sockets:Sockets --ws-max-size {MOST_MESSAGE_BYTES}\n"
    assert command in (ROOT / "README.md").read_text()


def commands() -> Iterator[str]:
    group = get_command(cli)
    assert isinstance(group, TyperGroup)
    context = Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = getattr(command, "commands", {})
        yield from (f"candlehouse {name} {sub}" for sub in inner) if inner else (f"candlehouse {name}",)


def test_every_command_is_described_and_nothing_else() -> None:
    described = {re.split(r" \[| --", row)[0] for row in first_column("commands.md")}
    assert described == set(commands())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
