"""logs/init.log: a line for each step of a start, in the predecessor's words and form."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from common.errors import CandlehouseError, Retryable


class InitLog:
    """Appends to `init.log` in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "init.log"

    def line(self, text: str) -> None:
        """`- <UTC time> - <text>`, where it is said once it is true."""
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(f"- {datetime.now(UTC):%Y-%m-%dT%H:%M:%S} - {text}\n")
        except OSError as error:
            raise Retryable(
                f"{self._file} cannot be written: {error.strerror}. Make room, or let us write."
            ) from error

    @contextmanager
    def telling(self, done: str, failed: str) -> Iterator[None]:
        """Tell `done` after the block, or `failed` when it raises one of our errors."""
        try:
            yield
        except CandlehouseError as error:
            self.line(f"{failed}: {error}")
            raise
        self.line(done)
