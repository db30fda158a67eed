"""Live candles of one exchange: each watched symbol is computed once when it is due, for all who watch it."""

import asyncio
import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from common.span import MINUTE_MS
from scripts.simulator.market import Row, Symbol, Trade
from scripts.simulator.sockets import Sockets
from scripts.simulator.world import World

#: The exchanges look for something new every two seconds.
EVERY_MS = 2000

#: After a longer time without a turn, the minutes between are not told.
_OLDEST_MINUTES = 10

_SYMBOLS_AT_ONCE = 25


class Update(NamedTuple):
    """One state of one minute, as it is told on the socket."""

    symbol: Symbol
    row: Row
    closed: bool
    at_ms: int
    #: What happened since the state before, where the exchange tells trades.
    trades: Sequence[Trade] = ()


class Watcher(Protocol):
    """A connection; `payload` is what the exchange's `encode` made of an update, shared by all watchers."""

    def deliver(self, symbol: Symbol, payload: str) -> None: ...


@dataclass(slots=True)
class Progress:
    """How far a symbol has been told: its minute, the minute's last told row, the row told for the one before."""

    minute: int
    told: Row | None = None
    before: Row | None = None
    turns: int = 0
    #: (when, the true row) of closes that were told wrongly
    corrections: list[tuple[int, Row]] = field(default_factory=list)


#: What an exchange tells at a moment, and when to ask again.
Advance = Callable[[World, Symbol, Progress, int], tuple[list[Update], int]]


class Feed:
    """Plays one exchange's candle channel to those who watch."""

    def __init__(self, world: World, sockets: Sockets, advance: Advance, encode: Callable[[Update], str]) -> None:
        self._world = world
        self._sockets = sockets
        self._advance = advance
        self._encode = encode
        self._watchers: dict[Symbol, set[Watcher]] = {}
        self._progress: dict[Symbol, Progress] = {}
        self._due: list[tuple[int, str, Symbol]] = []

    def watch(self, symbol: Symbol, watcher: Watcher) -> None:
        self._watchers.setdefault(symbol, set()).add(watcher)
        if symbol not in self._progress:
            now_ms = self._world.clock.now_ms()
            self._progress[symbol] = Progress(now_ms // MINUTE_MS)
            heapq.heappush(self._due, (now_ms, symbol.native, symbol))

    def leave(self, symbol: Symbol, watcher: Watcher) -> None:
        self._watchers.get(symbol, set()).discard(watcher)

    async def run(self) -> None:
        """Tell whoever is due, for ever."""
        clock = self._world.clock
        while True:
            for turn, symbol in enumerate(self._take_due()):
                self._tell(symbol, clock.now_ms())
                if turn % _SYMBOLS_AT_ONCE == _SYMBOLS_AT_ONCE - 1:
                    await asyncio.sleep(0)
            await clock.sleep(0.02 * clock.rate)

    def _take_due(self) -> Iterator[Symbol]:
        # Only what is due now: a clock that runs too fast must not keep the others from their turn.
        until_ms = self._world.clock.now_ms()
        while self._due and self._due[0][0] <= until_ms:
            symbol = heapq.heappop(self._due)[2]
            if self._watchers.get(symbol):
                yield symbol
            else:
                self._watchers.pop(symbol, None)
                self._progress.pop(symbol, None)

    def _tell(self, symbol: Symbol, now_ms: int) -> None:
        progress = self._progress[symbol]
        progress.minute = max(progress.minute, now_ms // MINUTE_MS - _OLDEST_MINUTES)
        updates, next_ms = self._advance(self._world, symbol, progress, now_ms)
        heapq.heappush(self._due, (next_ms, symbol.native, symbol))
        if self._sockets.is_silent():
            return
        for update in updates:
            payload = self._encode(update)
            for watcher in self._watchers[symbol]:
                watcher.deliver(symbol, payload)


def final(world: World, symbol: Symbol, progress: Progress, now_ms: int) -> Row | None:
    """The finished minute as the socket tells it: wrongly while a late correction is on, not without its close."""
    if world.faults.closing("missing_close", symbol):
        return None
    true = world.market.row(symbol, progress.minute, now_ms)
    fault = world.faults.closing("late_correction", symbol)
    if true is None or fault is None or not true.volume:
        return true
    if fault.delay_s:
        progress.corrections.append((now_ms + round(fault.delay_s * 1000), true))
    return true._replace(
        close=true.open, volume=round(true.volume / 2, 8), quote_volume=round(true.quote_volume / 2, 8)
    )


def corrections(progress: Progress, now_ms: int) -> list[Row]:
    """The true rows whose time has come; each is told once."""
    come = [true for when_ms, true in progress.corrections if when_ms <= now_ms]
    progress.corrections = [one for one in progress.corrections if one[0] > now_ms]
    return come


def next_look(symbol: Symbol, now_ms: int) -> int:
    """The symbol's next turn; symbols take theirs at different moments, so the work is spread."""
    return now_ms + EVERY_MS - (now_ms - symbol.seed) % EVERY_MS


def lateness(symbol: Symbol, minute: int, longest_ms: int) -> int:
    """How long after its minute something about `minute` is sent, in 0…`longest_ms`."""
    return (symbol.seed ^ minute * 0x9E3779B97F4A7C15) % (1 << 64) % (longest_ms + 1)


def closes_once(latest_ms: int) -> Advance:
    """The running candle when it changed, the close of each finished minute once, at most `latest_ms` late."""

    def close_ms(symbol: Symbol, minute: int) -> int:
        return (minute + 1) * MINUTE_MS + lateness(symbol, minute, latest_ms)

    def advance(world: World, symbol: Symbol, progress: Progress, now_ms: int) -> tuple[list[Update], int]:
        rows = [(true, True) for true in corrections(progress, now_ms)]
        while now_ms >= (next_close_ms := close_ms(symbol, progress.minute)):
            if (last := final(world, symbol, progress, now_ms)) is not None:
                rows.append((last, True))
            progress.minute, progress.told = progress.minute + 1, None
        row = world.market.row(symbol, progress.minute, now_ms)
        if row is not None and row != progress.told:
            progress.told = row
            rows.append((row, False))
        updates = [Update(symbol, row, closed, now_ms) for row, closed in rows]
        return updates, min(next_look(symbol, now_ms), next_close_ms)

    return advance
