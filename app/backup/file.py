"""A file that is whole or not there, and that its owner alone may read."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import BadInput, Retryable


@contextmanager
def new_file(file: Path) -> Iterator[Path]:
    """`FILE.partial`, to be filled in the block; it becomes `file` when that ends well, and else goes away."""
    if file.exists():
        raise _exists(file)
    partial = partial_of(file)
    try:
        held = os.open(partial, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise BadInput("FILE", f"{partial} cannot be written: {error.strerror}; name another file.") from error
    try:
        _take(held, file)
        try:
            yield partial
            os.fsync(held)
            _publish(partial, file)
        finally:
            partial.unlink(missing_ok=True)
    finally:
        os.close(held)


def partial_of(file: Path) -> Path:
    """Where `file` is while it is being written."""
    return file.with_name(f"{file.name}.partial")


def _take(held: int, file: Path) -> None:
    """What a killed backup left under this name is ours; what one that lives writes is not."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BadInput("FILE", f"Another backup is being written to {file}; name another file.") from None
    os.fchmod(held, 0o600)


def _publish(partial: Path, file: Path) -> None:
    """Give it its name, unless somebody else was given that meanwhile."""
    try:
        try:
            os.link(partial, file)
        except FileExistsError:
            raise _exists(file) from None
        except OSError:  # a file system without second names
            if file.exists():
                raise _exists(file) from None
            partial.rename(file)
        _sync(file.parent)
    except OSError as error:
        raise Retryable(f"{file} cannot be written: {error.strerror}.") from error


def _sync(folder: Path) -> None:
    """The name survives a power cut too, as the bytes do."""
    held = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def _exists(file: Path) -> BadInput:
    return BadInput("FILE", f"{file} exists and is never overwritten: name another file.")
