"""`candlehouse import …`: history from elsewhere than an exchange's REST API."""

import typer

from scripts.commands.import_files import csv, parquet
from scripts.commands.import_postgres import postgres
from scripts.commands.import_vision import binance_vision

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
app.command("binance-vision")(binance_vision)
app.command()(postgres)
app.command()(csv)
app.command()(parquet)


@app.callback()
def _root() -> None:
    """Fill history from an exchange's archives, from another database, or from files."""
