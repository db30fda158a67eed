"""What the web asks of the rest of the program, and nothing more: one bundle that wiring or a test makes."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import SecretStr

from app.disk import Room
from app.happening import Happening, Kind
from app.keys import Key, Wish
from app.messages import CandleMessage
from app.stores.bar_stream import Bars, Sink
from app.stores.budget import BudgetState
from app.stores.census import Member
from app.stores.minutes import MarketMinutes, StateSpan
from common.clock import Clock
from common.market import Bar, Instrument
from common.span import Span
from common.timeframe import Timeframe
from web.candles import Candles, ManyBars
from web.fetches import Fetches


class Stored(Protocol):
    """A market and its number in the database."""

    @property
    def id(self) -> int: ...
    @property
    def instrument(self) -> Instrument: ...


class Symbols(Protocol):
    async def find(self, exchange: str, base: str, quote: str, market_type: str = "spot") -> Stored | None: ...
    async def find_named(self, exchange: str, name: str) -> Stored | None:
        """By the exchange's own name of the market, or by base and quote in one word, with a slash or without."""

    async def load(self, exchange: str | None = None, trading_only: bool = False) -> Mapping[str, Stored]: ...
    async def now(self, symbol_ids: Iterable[int]) -> Mapping[int, Stored]:
        """What markets are called now, by the id that they had."""

    async def version(self) -> int:
        """Another number whenever a name means another market."""

    async def counts(self) -> Mapping[str, int]:
        """By exchange, how many markets trade."""


class Revisions(Protocol):
    """What was known when."""

    async def revisions(
        self, symbol_id: int, span: Span, limit: int, after: int = 0
    ) -> Sequence[tuple[Any, ...]]: ...
    async def bars(
        self,
        symbol_id: int,
        timeframe: Timeframe,
        start_ms: int | None,
        end_ms: int,
        limit: int,
        as_of_ms: int,
    ) -> list[Bar]: ...
    async def known(self, symbol_id: int, as_of_ms: int) -> list[Span]: ...


class BarStream(Protocol):
    """Any number of bars, as they are read; see app.stores.bar_stream."""

    async def binary(self, symbol_id: int, bars: Bars, sink: Sink) -> None: ...
    async def csv(
        self, symbol_id: int, bars: Bars, sink: Sink, *, unit_ms: int, names: tuple[str, ...] = ()
    ) -> None: ...


class Minutes(Protocol):
    """What is known of each minute; see app.stores.minutes."""

    async def known(self, symbol_ids: Sequence[int]) -> set[int]: ...
    async def markets(self, symbol_ids: Sequence[int], span: Span, now_ms: int) -> Mapping[int, MarketMinutes]: ...
    async def spans(
        self, symbol_ids: Sequence[int], span: Span, now_ms: int, states: Sequence[str], most: int
    ) -> list[StateSpan]: ...
    async def days(
        self, symbol_ids: Sequence[int], span: Span, now_ms: int
    ) -> Sequence[tuple[int, int, str, int]]: ...


class Events(Protocol):
    """What happened to the feeds, as it is kept."""

    async def newest(
        self, limit: int, exchange: str | None = None, kind: Kind | None = None, before: str | None = None
    ) -> list[Happening]: ...


class Happened(Protocol):
    """What happens to the feeds, from a cursor on."""

    async def tail(self) -> str: ...
    async def read(self, cursor: str, block_ms: int | None) -> tuple[str, list[Happening]]: ...


class Feed(Protocol):
    """The live candles of every exchange, each with its place in the stream."""

    async def read(
        self, cursors: Mapping[str, str], block_ms: int | None = None
    ) -> Sequence[tuple[str, str, CandleMessage]]: ...
    async def tail_id(self, exchange: str) -> str: ...
    async def latest_of(self, markets: Sequence[Instrument]) -> Sequence[CandleMessage | None]: ...


class Keys(Protocol):
    """The keys that open the web, by their digest or their number."""

    async def by_digest(self, digest: bytes) -> Key | None: ...
    async def by_number(self, number: int) -> Key | None: ...
    async def used(self, number: int, now_ms: int) -> None: ...
    async def all(self) -> list[Key]: ...
    async def add(self, wish: Wish, digest: bytes, now_ms: int) -> int: ...
    async def revoke(self, number: int, now_ms: int) -> bool: ...


#: Rows as the database names their columns.
Rows = list[dict[str, Any]]


class Analytics(Protocol):
    async def geodr(self, upper: float | None, lower: float | None, limit: int) -> Rows: ...
    async def wr(self, upper: float | None, lower: float | None, limit: int) -> Rows: ...
    async def top20qvlm(self) -> Rows: ...
    async def test_row(self) -> Rows: ...


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """How far one fetch job is. Minutes are summed over its symbols."""

    id: int
    exchange: str
    state: str
    minutes_total: int
    minutes_left: int
    rows_written: int
    requests: int
    errors: int


@dataclass(frozen=True, slots=True)
class StoredFigures:
    """`candles` is an estimate. By exchange: fetches nothing has repaired since, minutes in gaps, outages."""

    candles: int
    symbols: int
    dirty: int
    failures: Mapping[str, int]
    gaps: Mapping[str, int]
    outages: Mapping[str, int]


class Figures(Protocol):
    async def stored(self) -> StoredFigures: ...
    async def backlog(self) -> int:
        """Closed candles that are not in the database yet."""

    async def queues(self) -> Mapping[str, int]:
        """Messages in each of Celery's queues."""

    async def oldest_ms(self) -> Mapping[str, int]:
        """When the oldest message of each queue that has any was ordered, in real UTC milliseconds."""

    async def updaters(self) -> int:
        """Those that looked for closed candles lately."""

    async def streams(self) -> Mapping[str, int]:
        """The entries of each stream in Redis."""

    async def processes(self) -> Sequence[Member]:
        """Those of ours that live."""

    async def healing_since_ms(self, exchange: str) -> int | None:
        """Since when REST has not answered for what the feed may have missed."""

    async def pulse(self, exchange: str) -> int | None:
        """When the exchange's workers last took a message; None where they never did."""

    async def events(self) -> Mapping[tuple[str, str], int]:
        """By exchange and kind, how many events were ever told."""


@dataclass(frozen=True, slots=True)
class Deps:
    """`exchanges` are all that the program knows, `streaming` those that should be live now.

    `is_public`: others than this machine are let in, who must show `token` or one of `keys`.
    `hosts` are names that the web answers to, `origins` other sites whose pages may use it.
    `heartbeat` reads what an exchange's stream last said of itself, `budget` how its rate budget stands,
    `jobs` the fetches under way, `room` how the database's disk stands,
    `newest` what was told of markets last, `traded` what the last day's trade of symbols was worth in dollars;
    `database_answers` and `redis_answers` return when the server did, and raise its error otherwise.
    """

    clock: Clock
    token: SecretStr | None
    keys: Keys
    exchanges: tuple[str, ...]
    streaming: tuple[str, ...]
    symbols: Symbols
    candles: Candles
    many_bars: ManyBars
    bar_stream: BarStream
    revisions: Revisions
    minutes: Minutes
    analytics: Analytics
    events: Events
    happened: Happened
    feed: Feed
    heartbeat: Callable[[str], Awaitable[Mapping[str, str]]]
    budget: Callable[[str], Awaitable[BudgetState]]
    jobs: Callable[[], Awaitable[list[FetchProgress]]]
    fetches: Fetches
    figures: Figures
    room: Callable[[], Awaitable[Room]]
    newest: Callable[[Sequence[Instrument]], Awaitable[Sequence[CandleMessage | None]]]
    traded: Callable[[Sequence[int], int], Awaitable[Mapping[int, float]]]
    database_answers: Callable[[], Awaitable[None]]
    redis_answers: Callable[[], Awaitable[None]]
    is_public: bool = False
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()


#: Opens what the web needs for as long as it serves.
OpenDeps = Callable[[], AbstractAsyncContextManager[Deps]]
