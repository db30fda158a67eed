"""Which exchanges ccxt knows, by the names of its files: importing it takes 76 MB, and 109 MB with its sockets."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

#: What stands before a name that is meant for ccxt.
PREFIX = "ccxt:"
#: ccxt's class of Bitrue watches derivatives alone, that of Alpaca wants a key, and MEXC streams protobuf.
_UNWATCHED = frozenset({"alpaca", "bitrue", "mexc"})


@cache
def names() -> frozenset[str]:
    """Every exchange of the installed ccxt; none where it is not installed."""
    return _files(_folder())


def has_socket(name: str) -> bool:
    """Whether ccxt speaks with this exchange over WebSocket, in words that are understood here."""
    return name in _files(_folder() / "pro") - _UNWATCHED


def _files(folder: Path) -> frozenset[str]:
    return frozenset(path.stem for path in folder.glob("[a-z]*.py"))


def _folder() -> Path:
    spec = find_spec("ccxt")
    return Path(spec.origin).parent if spec and spec.origin else Path("/nonexistent")
