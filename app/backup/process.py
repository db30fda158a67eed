"""PostgreSQL's programs as children that never outlive what started them."""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from app.processes import die_with_parent

#: Bytes of a pipe that are taken at once.
CHUNK = 1 << 20


class Child:
    """A running program; the streams that were asked for are `process.stdin` and `process.stdout`."""

    def __init__(self, process: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        self.process = process
        self._errors = errors

    def reason(self) -> str:
        """The first error that it told, without its own name; its last words when it told none."""
        self._errors.seek(0)
        lines = [
            line.strip() for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()
        ]
        for mark in ("ERROR:", "FATAL:", " error: "):
            for line in lines:
                if mark in line:
                    return line.partition(mark)[2].strip().rstrip(".")
        return lines[-1].rstrip(".") if lines else "it said nothing"


@asynccontextmanager
async def child(
    program: Path,
    *arguments: str | Path,
    environment: Mapping[str, str],
    reads: bool = False,
    tells: bool = False,
) -> AsyncIterator[Child]:
    """A process that is killed where the block leaves it; `reads` its input from us, `tells` its output to us."""
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            env=environment,
            limit=CHUNK,
            stdin=asyncio.subprocess.PIPE if reads else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if tells else asyncio.subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for us
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        try:
            yield Child(process, errors)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)  # asyncio's kill() may take the status from its watcher
                while process.stdout and await process.stdout.read(CHUNK):
                    pass  # asyncio sees the end of a process only behind all that it told
                await process.wait()


async def output(program: Path, *arguments: str | Path, environment: Mapping[str, str]) -> tuple[str | None, str]:
    """What the program tells, and ''; or None, and why it failed."""
    async with child(program, *arguments, environment=environment, tells=True) as run:
        told, _ = await run.process.communicate()
        if run.process.returncode:
            return None, run.reason()
    return told.decode(errors="replace"), ""
