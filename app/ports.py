"""TCP ports of this machine: which are free, and what to say when one is not."""

import socket

from common.errors import BadInput


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def must_be_free(variable: str, port: int, host: str = "127.0.0.1") -> int:
    """`port`, or one sentence that names it and the variable that moves it."""
    if not is_free(port, host):
        sentence = f"Port {port} on {host} is taken by another program; set {variable} to a free one."
        raise BadInput(variable, sentence, "a free port")
    return port


def free_from(port: int) -> int:
    """The first free port from `port` on."""
    return next(p for p in range(port, 65536) if is_free(p))
