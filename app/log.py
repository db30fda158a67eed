"""Log lines: one event and its facts, to the terminal and to a rotated file; no secret reaches either."""

import logging
import logging.handlers
import re
import sys
from pathlib import Path
from typing import Any, TextIO

import structlog

MAX_BYTES = 10_000_000
KEPT_FILES = 5

_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@/\s]+@")

#: What both our own and other libraries' records pass through.
_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(level: str = "INFO", *, file: str | Path | None = None, console: bool | None = None) -> None:
    """Send every logger's lines to `file`, and to the terminal if `console` (by default when there is no file)."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handlers: list[logging.Handler] = []
    if file is not None:
        handlers.append(_to_file(Path(file)))
    if console or (console is None and file is None):
        handlers.append(_to_terminal(sys.stderr))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    for chatty in ("httpx", "httpcore", "asyncio", "websockets"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def rotated(path: Path) -> logging.handlers.RotatingFileHandler:
    """A handler whose file never grows beyond MAX_BYTES; its folder is made when missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return logging.handlers.RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=KEPT_FILES, encoding="utf-8")


def without_passwords(text: str) -> str:
    """`text` with the password of every address in it hidden."""
    return _PASSWORD.sub(r"\1***@", text)


def _to_file(path: Path) -> logging.Handler:
    handler = rotated(path)
    handler.setFormatter(formatter(colors=False))
    return handler


def _to_terminal(stream: TextIO) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(colors=stream.isatty()))
    return handler


def formatter(*, colors: bool) -> logging.Formatter:
    """How every line looks; app/web_log.json names it for uvicorn."""
    # The renderer's own tracebacks show local variables, and what a connection is opened with is one.
    render = structlog.dev.ConsoleRenderer(
        colors=colors, pad_event_to=0, pad_level=False, exception_formatter=structlog.dev.plain_traceback
    )

    def line(logger: Any, name: str, event: structlog.typing.EventDict) -> str:
        return without_passwords(render(logger, name, event))

    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, line], foreign_pre_chain=_SHARED
    )
