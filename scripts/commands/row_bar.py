"""How many rows are done: a bar on a terminal, nothing elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn


@contextmanager
def row_bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """To be told how many more are done; `total` is how many there may be, None where nobody knows."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True
    )
    task = bar.add_task(what, total=total)
    with bar:
        yield lambda more: bar.advance(task, more)
