"""`python -m scripts.fetchers.rest fetch|resume --exchange X …`: the same as `candlehouse fetch|resume`."""

import typer

from scripts.cli import run
from scripts.commands.fetch import fetch
from scripts.commands.jobs import cancel, resume

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)
app.command()(fetch)
app.command()(resume)
app.command()(cancel)

if __name__ == "__main__":
    run(typer.main.get_command(app), name="python -m scripts.fetchers.rest")
