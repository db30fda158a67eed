"""`candlehouse …`: one word for everything; a person's mistake is answered with one sentence and status 2."""

import sys
from importlib import import_module
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from common.errors import BadInput, CandlehouseError

#: Command: (module of scripts.commands, function, one line for --help). Each is imported when it is called.
COMMANDS = {
    "up": ("up", "up", "Run everything on this machine until Ctrl-C."),
    "status": ("status", "status", "Show what runs, how fresh its data is, and how to look inside."),
    "fetch": ("fetch", "fetch", "Fill history from an exchange's REST API."),
    "resume": ("jobs", "resume", "Go on with fetches that did not finish."),
    "cancel": ("jobs", "cancel", "Stop fetches; what they stored stays."),
    "import": ("imports", "app", "Fill history from archives, another database, or files."),
    "gaps": ("gaps", "gaps", "Show which wanted minutes are missing, why, and what to do."),
    "coverage": ("coverage", "coverage", "Show how complete each market is."),
    "events": ("events", "events", "Show what happened to the feeds: losses, heals, outages."),
    "webhooks": ("webhooks", "app", "Tell other programs by HTTP of what happens to the feeds."),
    "estimate": ("estimate", "estimate", "Tell what history would take of requests, time and disk."),
    "list-data": ("list_data", "list_data", "Show of which markets candles are stored."),
    "repair": ("repair", "repair", "Ask again for what failed, was never answered, or looks lost."),
    "verify": ("verify", "verify", "Ask random ranges of history again and compare."),
    "stream": ("stream", "stream", "Stream an exchange's live candles into Redis."),
    "update": ("update", "update", "Write closed candles from Redis to the database."),
    "revisions": ("revisions", "revisions", "List what corrected minutes were before."),
    "rename": ("rename", "rename", "Say that a market goes on under another name: one series of two."),
    "simulate": ("simulate", "simulate", "Play the exchanges on a port of this machine."),
    "backup": ("backup", "backup", "Write the whole database to one file, while everything runs."),
    "restore": ("backup", "restore", "Put a backup into the database: all of it or nothing."),
    "keys": ("keys", "app", "Give programs and people keys of their own for the web."),
    "secrets": ("secrets", "secrets", "Write random secrets into .env, where it has none."),
    "psql": ("doors", "psql", "Open the database in psql; arguments go to it."),
    "redis-cli": ("doors", "redis_cli", "Open Redis in redis-cli; arguments go to it."),
    "db": ("db", "app", "Migrate the database, print its schema, refresh its bars."),
}

#: Whose arguments are another program's.
PASS_ON = {"psql", "redis-cli"}


class _Lazy(TyperGroup):
    """Knows every command's name and line, and imports only the one that is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, name: str) -> Any:
        return _load(name) if name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


def _load(name: str) -> Any:
    module, function, line = COMMANDS[name]
    found = getattr(import_module(f"scripts.commands.{module}"), function)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    context = {"ignore_unknown_options": True} if name in PASS_ON else {}
    single.command(name, help=line, context_settings=context)(found)
    return typer.main.get_command(single)


app = typer.Typer(cls=_Lazy, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(no_args_is_help=True)
def _root() -> None:
    """Candlehouse: live, complete, exact candles in a place you own."""


def run(command: Any, arguments: list[str] | None = None, name: str | None = None) -> NoReturn:
    """Call `command` and exit: 0 when done, 2 for a person's mistake, 1 for what may work later."""
    try:
        command.main(arguments, prog_name=name)
    except BadInput as error:
        sys.exit(_say(error, 2))
    except (CandlehouseError, OSError) as error:
        sys.exit(_say(error, 1))
    except BaseExceptionGroup as group:
        sys.exit(_of_group(group))
    sys.exit(0)


def _of_group(group: BaseExceptionGroup[BaseException]) -> int:
    """A task group's errors: the first that a person can understand speaks for all."""
    ours, _ = group.split(CandlehouseError)
    if ours is None:
        raise group
    first: BaseException = ours
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return _say(first, 2 if isinstance(first, BadInput) else 1)


def _say(error: BaseException, status: int) -> int:
    print(error, file=sys.stderr)
    return status


def main() -> NoReturn:
    run(typer.main.get_command(app), name="candlehouse")


if __name__ == "__main__":
    main()
