"""The log file of a role that the supervisor runs: a full disk costs lines, never the role."""

import contextlib
import logging.handlers
from collections.abc import Callable, Iterator
from pathlib import Path

from app.log import rotated


class RoleLog:
    """Appends to `path`; `complain` is told once, with the reason, when that cannot be done, until it can again.

    `rotates_itself` tells that the role rotates the file, so that we only follow it.
    """

    def __init__(self, path: Path, *, rotates_itself: bool, complain: Callable[[str], None]) -> None:
        self._path = path
        self._rotates_itself = rotates_itself
        self._complain = complain
        self._handler: logging.Handler | None = None
        self._failing = False
        with self._told():
            self._open()

    def write(self, line: str) -> None:
        with self._told():
            self._open().emit(logging.LogRecord("", logging.INFO, "", 0, line, None, None))
            self._failing = False

    def close(self) -> None:
        if self._handler is not None:
            with self._told():
                self._handler.close()

    def _open(self) -> logging.Handler:
        if self._handler is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            follow = logging.handlers.WatchedFileHandler
            self._handler = follow(self._path, encoding="utf-8") if self._rotates_itself else rotated(self._path)
            self._handler.handleError = _raise  # type: ignore[method-assign]  # logging would print a traceback
        return self._handler

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self._failing:
                self._failing = True
                self._complain(error.strerror or str(error))


def _raise(record: logging.LogRecord) -> None:
    raise
