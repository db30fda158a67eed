"""ccxt's WebSocket classes without their I/O: what they would say is caught, and frames are handed to them.

Their `watch_…` methods end in `watch(url, hash, message)` or `watch_multiple`, which here raise Saying instead of
opening a connection; frames go to `handle_message`. Nothing here suspends, so these coroutines run through to
their end at once, without an event loop. Only the moments that some messages name come from ccxt's own clock.
"""

from collections.abc import Coroutine, Generator
from importlib import import_module
from typing import Any

from common.errors import Rejected
from fetchers.by_ccxt.rest import Answers


class Saying(BaseException):
    """What would be said on a connection to `url`; its answers are known by `hashes`."""

    def __init__(self, url: str, message: Any, hashes: list[str]) -> None:
        super().__init__(url)
        self.url, self.message, self.hashes = url, message, hashes


class Over:
    """What a coroutine came to, for whoever still wants to await it."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[None, None, Any]:
        return self._value
        yield

    def resolve(self, value: Any = None) -> None:
        self._value = value

    def reject(self, error: Any = None) -> None:
        """Nobody waits for it."""


class Wire:
    """What ccxt's handlers see of a connection."""

    keepAlive = 30_000
    lastPong = 0

    def __init__(self) -> None:
        self.url = ""
        self.subscriptions: dict[str, Any] = {}
        self.futures: dict[str, Over] = {}
        self.rejections: dict[str, Any] = {}
        self.said: list[Any] = []
        #: Errors that handlers found in frames, with the hash of whom they concern.
        self.rejected: list[tuple[Any, str | None]] = []

    def future(self, message_hash: str) -> Over:
        return self.futures.setdefault(message_hash, Over(None))

    reusableFuture = future

    def resolve(self, result: Any, message_hash: str | None = None) -> Any:
        return result

    def reject(self, error: Any, message_hash: str | None = None) -> Any:
        self.rejected.append((error, message_hash))
        return error

    def reset(self, error: Any) -> None:
        self.reject(error)

    def on_error(self, error: Any) -> None:
        self.reject(error)

    async def send(self, message: Any) -> None:
        self.said.append(message)

    async def close(self, code: int = 1000) -> None:
        """Whoever reads decides on that."""


class _Watching(Answers):
    """What stands before a WebSocket class's own methods."""

    wire: Wire

    async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: str | None = None) -> Any:
        return self.answer(url, method, body)

    async def throttle(self, cost: float | None = None) -> None:
        self.cost = 1.0 if cost is None else cost

    def open(self, lazy: bool = False) -> None:
        """Nothing is opened here."""

    def client(self, url: str) -> Wire:
        return self.wire

    def spawn(self, method: Any, *arguments: Any) -> Over:
        return Over(finished(method(*arguments)))

    def delay(self, timeout: float, method: Any, *arguments: Any) -> None:
        """Only pings and renewed snapshots of order books are delayed."""

    def watch(
        self,
        url: str,
        message_hash: str,
        message: Any = None,
        subscribe_hash: Any = None,
        subscription: Any = None,
    ) -> Over:
        return self._say(url, [message_hash], message, [subscribe_hash], subscription)

    def watch_multiple(
        self,
        url: str,
        message_hashes: list[str],
        message: Any = None,
        subscribe_hashes: Any = None,
        subscription: Any = None,
    ) -> Over:
        return self._say(url, message_hashes, message, subscribe_hashes or [], subscription)

    def _say(self, url: str, hashes: list[str], message: Any, subscribed: list[Any], subscription: Any) -> Over:
        self.wire.url = url
        for one in hashes:
            self.wire.future(one)
        for one in subscribed:
            self.wire.subscriptions[one] = subscription or True
        raise Saying(url, message, hashes)


def socket_class(name: str, options: dict[str, Any]) -> Any:
    """An instance of ccxt's WebSocket class that does no I/O. Imports ccxt. Raises Rejected when it has none."""
    try:
        whole = getattr(import_module("ccxt.pro"), name)
    except AttributeError as error:
        raise Rejected(f"ccxt knows no WebSocket of {name}, so only its history can be had") from error
    below = type("Below", (import_module("ccxt.async_support").Exchange,), {"load_markets": _load_markets})
    pure = type(name, (_Watching, whole, below), {})({"options": options})
    pure.given, pure.wire = [], Wire()
    return pure


async def _load_markets(client: Any, reload: bool = False, params: Any = None) -> Any:
    """Below whatever a class adds to it: those that it was given."""
    return client.markets


def finished(work: Coroutine[Any, Any, Any]) -> Any:
    """What `work` comes to. Raises Rejected when it would wait for something."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    work.close()
    raise Rejected("ccxt waits for something that is not said here")
