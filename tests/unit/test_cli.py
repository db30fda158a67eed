"""`candlehouse`: every command has its line, and every mistake its sentence."""

import subprocess
import sys

import pytest
import typer

from common.errors import BadInput, Retryable
from scripts import cli


def candlehouse(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "scripts.cli", *arguments], capture_output=True, text=True)


def status_of(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        cli.run(typer.main.get_command(app), [])
    return end.value.code, capsys.readouterr().err


def test_help_lists_every_command_without_importing_any() -> None:
    done = candlehouse("--help")
    assert [name for name in cli.COMMANDS if f"\n  {name} " not in done.stdout] == []
    code = (
        "import sys; from scripts import cli; print([m for m in sys.modules if m.startswith('scripts.commands')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    done = candlehouse(name, "--help")
    assert (done.returncode, done.stderr, "Usage: " in done.stdout) == (0, "", True)


@pytest.mark.parametrize("arguments", [["nonsense"], ["up", "--wat"]])
def test_an_unknown_word_is_answered_with_usage_and_status_2(arguments: list[str]) -> None:
    done = candlehouse(*arguments)
    assert (done.returncode, "Traceback" in done.stderr, done.stdout) == (2, False, "")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadInput("start", "--start is no date."), 2),
        (Retryable("PostgreSQL at h:5432 cannot be reached."), 1),
        (OSError("No space left on device"), 1),
        (ExceptionGroup("a task failed", [ExceptionGroup("inner", [BadInput("end", "--end is no date.")])]), 2),
    ],
)
def test_a_mistake_gets_its_sentence_and_no_traceback(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    first: BaseException = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert status_of(error, capsys) == (status, f"{first}\n")
