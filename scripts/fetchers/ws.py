"""`python -m scripts.fetchers.ws fetch --exchange X | update`: the same as `candlehouse stream|update`."""

import typer

from scripts.cli import run
from scripts.commands.stream import stream
from scripts.commands.update import update

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)
app.command("fetch")(stream)
app.command()(update)

if __name__ == "__main__":
    run(typer.main.get_command(app), name="python -m scripts.fetchers.ws")
