"""What a container of Candlehouse runs: `python -m scripts.docker.start [KIND …]`.

Without a kind it is coin-app: it waits for both servers, starts every role that has no service of its own beside
it, opens the tmux sessions, and tells logs/init.log how far it is. With kinds (stream, update, worker, beat, web,
flower) it runs these alone, as one of the services of profile `scale`.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from app import log, roles, start
from app.running import Running
from app.settings import Settings, load_settings
from app.supervisor import Role
from common.errors import BadInput
from scripts.cli import run
from scripts.docker import servers, sessions
from scripts.docker.init_log import InitLog
from scripts.docker.initialize import initialize

#: Kinds that profile `scale` takes out of coin-app, each as the service coin-{kind}.
SEPARABLE = ("stream", "update", "worker", "beat")
KINDS = (*SEPARABLE, "web", "flower")


def main(kinds: Annotated[list[str] | None, typer.Argument(help=f"Any of {', '.join(KINDS)}.")] = None) -> None:
    """Run until SIGTERM."""
    for kind in kinds or ():
        if kind not in KINDS:
            allowed = ", ".join(KINDS)
            sentence = f"There is nothing to run of the kind {kind!r}; choose from {allowed}."
            raise BadInput("kinds", sentence, allowed)
    settings = load_settings(simulator=_here(load_settings().simulator_host))
    log.configure(settings.log_level)
    asyncio.run(_only(settings, kinds) if kinds else _everything(settings))


async def _only(settings: Settings, kinds: Sequence[str]) -> None:
    await servers.until_database_answers(settings)
    await servers.until_redis_answers(settings)

    def chosen(settings: Settings, environment: Mapping[str, str]) -> list[Role]:
        return [role for role in roles.all_roles(settings, environment) if kind_of(role) in kinds]

    async def announce(state: Running) -> None:
        typer.echo(f"Started {', '.join(kinds)}.")

    await start.run(settings, False, typer.echo, make_roles=chosen, announce=announce)


async def _everything(settings: Settings) -> None:
    told = InitLog(settings.log_dir)
    with told.telling("Timescaledb/Postgresql is ready to connect", "Cannot connect to Timescaledb/Postgresql"):
        await servers.until_database_answers(settings)
    with told.telling("Redis is ready to connect", "Cannot connect to Redis"):
        await servers.until_redis_answers(settings)
    elsewhere = [kind for kind in SEPARABLE if _here(f"coin-{kind}")]
    left = f"; left to services of their own: {', '.join(elsewhere)}" if elsewhere else ""
    typer.echo(f"Starting {', '.join(settings.exchange_names)} on a {settings.market} market{left}")
    if "beat" not in elsewhere:
        await servers.forget_beat(settings)

    def ours(settings: Settings, environment: Mapping[str, str]) -> list[Role]:
        left = [role for role in roles.all_roles(settings, environment) if kind_of(role) not in elsewhere]
        return [*left, sessions.role(settings, environment)]

    async def announce(state: Running) -> None:
        await initialize(settings, told)
        typer.echo("Initialization complete")

    await start.run(settings, False, typer.echo, make_roles=ours, announce=announce)


def kind_of(role: Role) -> str:
    """`stream` of the role `stream binance`."""
    return role.name.split()[0]


def _here(service: str) -> bool:
    """Whether a container of this name runs beside us; Docker's name server knows those of our network alone.

    Outside of Compose SIMULATOR_HOST is this machine, which is no container beside us.
    """
    try:
        return socket.gethostbyname(service) != "127.0.0.1"
    except OSError:
        return False


if __name__ == "__main__":
    cli = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    cli.command()(main)
    run(typer.main.get_command(cli), name="python -m scripts.docker.start")
