"""`candlehouse secrets`: random secrets into .env, by the same script that needs no Python."""

import subprocess
from pathlib import Path

import typer

SCRIPT = Path(__file__).parents[1] / "secrets.sh"


def secrets() -> None:
    """Write into .env each secret that it lacks; nothing that stands there is changed."""
    raise typer.Exit(subprocess.run(["sh", SCRIPT], check=False).returncode)
