"""Ask before something is done, where somebody can be asked."""

import sys

import typer

from common.errors import BadInput


def confirmed(question: str, *, yes: bool) -> None:
    """Go on if `yes` was said on the command line or is said now; end otherwise."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput("yes", "Nothing was changed: say --yes where nobody can be asked.", "--yes")
    typer.confirm(question, abort=True)
