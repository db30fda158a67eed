"""`candlehouse up`: everything on this machine, from the database to the page."""

import asyncio
from typing import Annotated

import typer

from app import log, roles, start
from app.settings import load_settings
from common.clock import Clock


def up(
    demo: Annotated[bool, typer.Option("--demo", help="Simulated exchanges and a database of their own.")] = False,
) -> None:
    """Start everything, print one line with the address when it is ready, and run until Ctrl-C or SIGTERM."""
    settings = load_settings(demo=demo)
    if not settings.clock_anchor_ms:  # a faster clock starts now, for every role alike
        settings = settings.model_copy(update={"clock_anchor_ms": Clock().now_ms()})
    log.configure(settings.log_level, file=settings.log_dir / "supervisor.log", console=True)
    asyncio.run(start.run(settings, demo, typer.echo, make_roles=roles.demo_roles if demo else roles.all_roles))
