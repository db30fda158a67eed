"""What the rest of the program asks of an exchange's adapter, and of whoever keeps its rate budget."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from common.market import Candle, Instrument
from common.span import Span


@dataclass(frozen=True, slots=True)
class Request:
    """A GET below the exchange's REST address; `weight` is its price in the exchange's own rate units.

    A `path` of another host than that is a whole address. With a `body`, be it empty, it is a POST of that JSON.
    """

    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    weight: int = 1
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One candle request and the minutes that its answer speaks for."""

    request: Request
    span: Span


@dataclass(frozen=True, slots=True)
class Listing:
    """The markets of an exchange, and one sentence for each that could not be understood.

    Where one answer does not hold all of them, `more` is what has to be asked next, and the rest is empty.
    """

    instruments: list[Instrument]
    skipped: list[str]
    more: "More | None" = None


@dataclass(frozen=True, slots=True)
class More:
    """The next request of a listing; `parse` makes of its answer, and of those before it, the listing."""

    request: Request
    parse: Callable[[bytes], Listing]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the exchange allows, as its documents state it.

    weight_per_minute         REST rate units a minute and address
    weight_per_second         and of these so many a second at most; None where a minute's may come at once
    page_minutes              candles in the largest page
    subscriptions_per_socket  series on one WebSocket connection
    connections_per_minute    new WebSocket connections a minute
    messages_per_second       client messages on one WebSocket connection
    silence_s                 a connection without any frame for this long is dead
    settle_s                  REST may still change a minute for this long after its end
    reach_minutes             REST serves only so many newest minutes; None where it serves all
    lifetime_s                the exchange ends every connection after this long; None where it does not
    ping_s, ping              how often the exchange wants to hear the client say this; None where it does not
    """

    weight_per_minute: int
    page_minutes: int
    subscriptions_per_socket: int
    connections_per_minute: int
    messages_per_second: float
    silence_s: float = 60
    settle_s: float = 90
    weight_per_second: float | None = None
    reach_minutes: int | None = None
    lifetime_s: float | None = None
    ping_s: float | None = None
    ping: str = ""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What the exchange said to the subscription of one market; `refusal` is empty where it was confirmed."""

    instrument: Instrument
    refusal: str = ""


class Session(Protocol):
    """The state of one WebSocket connection: fed frames, drained of messages, thrown away with its socket.

    It begins with the markets that it was made for, and may take and leave others while it lives.
    """

    def add(self, instruments: Sequence[Instrument]) -> None:
        """Subscribe to these too; those it has already are left as they are."""

    def drop(self, instruments: Sequence[Instrument]) -> None:
        """Leave these; candles that still come of them are passed over."""

    def handshake(self) -> Request | None:
        """A GET to make before connecting (SignalR negotiates), below the socket's host; None for most."""

    def url(self, ws_url: str, answer: bytes | None) -> str:
        """The address to connect to, given the configured one and the handshake's answer."""

    def to_send(self) -> list[str]:
        """Messages to send now, each once; ask again after every received frame."""

    def receive(self, frame: str | bytes) -> list[Candle]:
        """Candles told by this frame, oldest first.

        Raises Malformed for a frame to skip, Ending when the exchange announces the end of the connection, and
        Retryable when it has to be opened again now.
        """

    def answered(self) -> list[Subscription]:
        """Subscriptions that were confirmed or refused since the last call, each once.

        An exchange that confirms nothing, or several at once, confirms a market by its first candle.
        """

    def notices(self) -> list[str]:
        """Other sentences worth a log line since the last call, such as an error that names no market."""


class Exchange(Protocol):
    """Everything particular to one exchange, as pure functions. Nothing here does I/O or reads a clock."""

    name: str
    rest_url: str
    ws_url: str
    limits: Limits
    #: REST serves a zero-volume row for a minute without trades.
    serves_quiet_minutes: bool
    #: Why this exchange cannot run live, in one sentence; empty for those that can.
    closed: str

    def instruments_request(self) -> Request: ...
    def parse_instruments(self, body: bytes) -> Listing: ...

    def page(self, instrument: Instrument, wanted: Span, now_ms: int) -> Page:
        """The request for the newest page-sized part of `wanted` (never empty), and the minutes it answers for.

        The page's span lies within `wanted`, ends where `wanted` ends, and starts on a minute.
        """

    def oldest(self, instrument: Instrument) -> Request | None:
        """The request whose answer is the market's very first candle; None where the exchange offers none."""

    def parse_candles(self, body: bytes, instrument: Instrument, span: Span) -> list[Candle]:
        """The candles of `span`, ascending, one per minute (the later row wins), each `Source.RECORD`.

        Raises Malformed when the body is not what the exchange documents.
        """

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Exception | None:
        """Retryable or Rejected when the answer is not a result; None when it is. Header names are lower case."""

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        """Rate units spent in the running minute as the server counts them, where it says so."""

    def session(self, instruments: Sequence[Instrument]) -> Session: ...


class Priority(StrEnum):
    """Who asks. What is live goes first, but takes at most half of a budget while history waits for it."""

    LIVE = "live"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class Spending:
    """Weight that may be spent now, from `acquire` until `settle`."""

    id: str
    weight: int
    priority: Priority


class Budget(Protocol):
    """The rate budget of one exchange, shared by every process that talks to it from the same address."""

    async def acquire(self, weight: int, priority: Priority = Priority.HISTORY) -> Spending:
        """Return when `weight` units may be spent; `settle` is to follow.

        Raises Retryable when the exchange wants quiet for longer than one waits, Blocked when it refuses us all.
        """

    async def settle(self, spending: Spending, used_weight: int | None = None) -> None:
        """The request was answered, or given up. `used_weight` is the server's own count in its running minute."""

    async def refuse(self, status: int, until_ms: int, sent_ms: int, said: str = "") -> None:
        """Nobody asks this exchange anything until then: it answered `status` to a request of `sent_ms`."""
