"""Python loads this first (PYTHONPATH) in each process of a round: its clock can be set, its names stop resolving.

The folder MACHINE holds `clock`, nanoseconds that the machine's time is off by as eight bytes; and `no_names` for
as long as no name resolves.
"""

import mmap
import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

import uvloop

_FOLDER = Path(os.environ["MACHINE"])
_NO_NAMES = _FOLDER / "no_names"
with (_FOLDER / "clock").open("rb") as _file:
    _OFF = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
_time_ns, _getaddrinfo = time.time_ns, socket.getaddrinfo


def _set_time_ns() -> int:
    off: int = struct.unpack("q", _OFF[:8])[0]
    return _time_ns() + off


def _refuse(host: Any) -> None:
    text = host.decode() if isinstance(host, bytes) else host
    is_name = bool(text) and ":" not in text and not text[-1].isdigit()
    if is_name and _NO_NAMES.exists():
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def _refusing_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
    _refuse(host)
    return _getaddrinfo(host, *args, **kwargs)


class _Loop(uvloop.Loop):
    """uvloop asks the C library itself."""

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **more: Any) -> Any:
        _refuse(host)
        return await super().create_connection(factory, host, port, **more)

    async def getaddrinfo(self, host: Any, port: Any, **more: Any) -> Any:
        _refuse(host)
        return await super().getaddrinfo(host, port, **more)


time.time_ns, time.time = _set_time_ns, lambda: _set_time_ns() / 1e9
socket.getaddrinfo = _refusing_getaddrinfo
uvloop.new_event_loop = _Loop
