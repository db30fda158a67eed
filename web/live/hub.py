"""Reads each wanted exchange's live stream once and hands every candle to the boards of its market."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from contextlib import asynccontextmanager

import structlog

from app.messages import CandleMessage
from common.errors import CandlehouseError
from common.interval import Interval
from web.deps import Deps, Stored
from web.live.announcer import Announcer
from web.live.board import Board
from web.live.client import Client, Sent
from web.live.frames import Shape, Topic
from web.live.load import load
from web.live.recent import Recent, back, before

log = structlog.get_logger(__name__)

#: How much of the stream is read back when an exchange gets its first listener: what may not be stored yet.
BACKLOG_MS = 120_000
#: A quiet stream is looked at this often for bars that end without another trade.
BLOCK_MS = 1000
#: What the database holds is looked at again after this long, since history changes without a live message.
RELOAD_MS = 60_000
RETRY_MS = 2_000
#: After a correction the database needs this long to have it.
CORRECTION_MS = 5_000
LONGEST_WAIT_S = 10.0


class Hub:
    """Lives in `tasks`. Boards exist while somebody wants them, streams are read while they have a board."""

    def __init__(self, deps: Deps, tasks: asyncio.TaskGroup) -> None:
        #: Connections that are open, subscribed to something or not.
        self.clients = 0
        self.sent = Sent()
        self._deps = deps
        self._tasks = tasks
        self._boards: dict[Topic, Board] = {}
        self._of_market: dict[str, list[Board]] = {}
        self._recent: dict[str, Recent] = {}
        self._due: dict[Board, int] = {}
        self._running: set[asyncio.Task[None]] = set()
        #: Of the names of markets, as they were in the last seconds.
        self._versions: tuple[int, ...] = ()
        self.announcer = Announcer(deps, tasks)

    @property
    def subscriptions(self) -> int:
        return sum(board.listeners for board in self._boards.values())

    async def subscribe(self, client: Client, market: Stored, interval: Interval, shape: Shape) -> None:
        """From now on `client` is told of every change; first of the bar as it is."""
        topic = Topic(market.instrument.key, interval, market.id)
        board = self._boards.get(topic) or self._make(topic, market)
        with board.kept():
            if not board.ready:
                await self._tell_of_now(board)
            if not board.ready:
                await self._load(board)
        client.forget(_of(topic))
        board.add(client, shape, self._deps.clock.now_ms())

    def unsubscribe(self, client: Client, topic: Topic) -> None:
        board = self._boards.get(topic)
        if board and not board.remove(client).is_wanted:
            del self._boards[topic]
            self._of_market[board.key].remove(board)
            self._due.pop(board, None)
        client.forget(_of(topic))

    async def look_after(self) -> None:
        """Every second: tell of bars that ended by themselves, read again what history may have changed."""
        while True:
            await asyncio.sleep(BLOCK_MS / 1000)
            await self._look_for_names()
            for board in list(self._boards.values()):
                now_ms = self._deps.clock.now_ms()
                board.tell(now_ms)
                if self._due.get(board, board.loaded_ms + (RELOAD_MS if board.ready else RETRY_MS)) <= now_ms:
                    self._due.pop(board, None)
                    await self._load(board)
                    board.tell(now_ms)

    def start(self) -> None:
        self._running.add(self._tasks.create_task(self.look_after(), name="look after the boards"))

    def stop(self) -> None:
        self.announcer.stop()
        for task in self._running:
            task.cancel()

    async def _look_for_names(self) -> None:
        """Boards of markets that were renamed go on with what these are called now.

        A change is looked at twice: somebody may have been about to subscribe under the name of before.
        """
        try:
            versions = (await self._deps.symbols.version(), *self._versions[:2])
            if len(set(versions)) > 1:
                now = await self._deps.symbols.now({board.market.id for board in self._boards.values()})
                for board in list(self._boards.values()):
                    self._follow_market(board, now.get(board.market.id, board.market))
            self._versions = versions
        except CandlehouseError as error:
            log.debug("Names cannot be read", reason=str(error))  # the boards themselves complain

    def _follow_market(self, board: Board, market: Stored) -> None:
        if (market.id, market.instrument.key) == (board.market.id, board.key):
            return
        log.info("A market was renamed", before=board.key, now=market.instrument.key)
        self._of_market[board.key].remove(board)
        board.market = market
        self._of_market.setdefault(board.key, []).append(board)
        self._due[board] = 0
        self._hear(self._following(board.exchange).of(board.key))

    def _make(self, topic: Topic, market: Stored) -> Board:
        board = self._boards[topic] = Board(topic, market)
        self._of_market.setdefault(board.key, []).append(board)
        return board

    async def _tell_of_now(self, board: Board) -> None:
        """Let the board hear what was told of its market lately."""
        known = list(self._following(board.exchange).of(board.key))
        for message, seq in known:
            board.hear(message, seq)
        if not known and (newest := await self._newest(board)):
            board.hear(newest, None)

    def _following(self, exchange: str) -> Recent:
        """What the exchange's stream told; it is read from now on if it was not."""
        if exchange not in self._recent:
            recent = self._recent[exchange] = Recent()
            task = self._tasks.create_task(self._follow(exchange, recent), name=f"follow {exchange}")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return self._recent[exchange]

    async def _newest(self, board: Board) -> CandleMessage | None:
        market = board.market.instrument
        try:
            return await self._deps.feed.latest(market.exchange, market.base, market.quote, market.market_type)
        except CandlehouseError as error:
            log.warning("The newest candle cannot be read", topic=board.topic, reason=str(error))
            return None

    async def _load(self, board: Board) -> None:
        now_ms = self._deps.clock.now_ms()
        try:
            await load(board, self._deps.candles, now_ms)
            await self._correct(board)
        except CandlehouseError as error:
            board.loaded_ms = now_ms
            log.warning("A bar could not be read", topic=board.topic, reason=str(error))

    async def _correct(self, board: Board) -> None:
        interval = board.topic.interval
        while board.stale:
            start_ms = board.stale.pop()
            end_ms = interval.after(start_ms)
            for bar in await self._deps.candles.read(board.market.id, interval, start_ms, end_ms, 1):
                board.correct(bar)

    async def _follow(self, exchange: str, recent: Recent) -> None:
        """Read the exchange's stream, from two minutes ago, until nobody wants it any more."""
        cursor, tail, failures = "", "", 0
        while self._is_wanted(exchange):
            try:
                if not cursor:
                    tail = await self._deps.feed.tail_id(exchange)
                    cursor = back(tail, BACKLOG_MS)
                entries = await self._deps.feed.read({exchange: cursor}, block_ms=BLOCK_MS)
            except CandlehouseError as error:
                cursor, failures, recent.caught_up = "", failures + 1, False
                await self._wait(exchange, failures, error)
                continue
            for _, cursor, message in entries:
                recent.hear(message, cursor)
            if recent.caught_up:
                self._hear((message, place) for _, place, message in entries)
            elif not entries or not before(cursor, tail):
                recent.caught_up = True
                failures = self._resume(exchange, recent, failures)
        del self._recent[exchange]

    def _is_wanted(self, exchange: str) -> bool:
        return any(board.exchange == exchange for board in self._boards.values())

    async def _wait(self, exchange: str, failures: int, error: Exception) -> None:
        if failures == 1:
            log.warning("The live stream cannot be read", exchange=exchange, reason=str(error))
        await asyncio.sleep(random.uniform(0.1, min(LONGEST_WAIT_S, 2.0**failures)))

    def _resume(self, exchange: str, recent: Recent, failures: int) -> int:
        """The stream's end is reached: tell what the last minutes brought. Returns 0, the failures from now on.

        After an outage a part of the stream may be gone, so everything is read again from the database, too.
        """
        boards = [board for board in self._boards.values() if board.exchange == exchange]
        self._hear(heard for board in boards for heard in recent.of(board.key))
        if failures:
            log.info("The live stream is read again", exchange=exchange)
            self._due |= dict.fromkeys(boards, 0)
        return 0

    def _hear(self, heard: Iterable[tuple[CandleMessage, str]]) -> None:
        """Tell what these candles change, each bar once."""
        touched: dict[Board, None] = {}
        now_ms = self._deps.clock.now_ms()
        for message, place in heard:
            for board in self._of_market.get(message.key, ()):
                if not board.hear(message, place) or board.stale:
                    self._due[board] = now_ms + CORRECTION_MS
                touched[board] = None
        for board in touched:
            board.tell(now_ms)


def _of(topic: Topic) -> Callable[[Hashable], bool]:
    return lambda key: isinstance(key, tuple) and key[0] == topic


@asynccontextmanager
async def open_hub(deps: Deps) -> AsyncIterator[Hub]:
    """A hub that reads until the block ends."""
    async with asyncio.TaskGroup() as tasks:
        hub = Hub(deps, tasks)
        hub.start()
        try:
            yield hub
        finally:
            hub.stop()
