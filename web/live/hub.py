"""Hands every live candle to the boards of its market, and lets clients join them without missing anything."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any, NamedTuple

import structlog

from common.errors import CandlehouseError
from web.deps import Deps, Stored
from web.live.announcer import Announcer
from web.live.answers import Heartbeat
from web.live.board import Board
from web.live.boards import Boards
from web.live.client import Client, Sent
from web.live.following import BLOCK_MS, Following, Told
from web.live.frames import Shape
from web.live.limits import REACH_LIMIT_S
from web.live.loader import WORKERS, Loader
from web.live.place import Seq, place_of
from web.live.pulse import Pulses
from web.live.replay import Replays
from web.live.selection import Selection
from web.live.streams import Topic

log = structlog.get_logger(__name__)

#: What the database holds is looked at again after this long, since history changes without a live message.
RELOAD_MS = 60_000
RETRY_MS = 2_000
#: Boards looked after before others have their turn.
AT_A_TIME = 500


class Wish(NamedTuple):
    """What a client wants to be told, and how."""

    market: Stored
    topic: Topic
    shape: Shape


class Hub:
    """Lives in `tasks`. Boards exist while somebody wants them, streams are read while they have a board."""

    def __init__(self, deps: Deps, tasks: asyncio.TaskGroup) -> None:
        #: Connections that are open, subscribed to something or not.
        self.clients: dict[Client, None] = {}
        self.sent = Sent()
        self.announcer = Announcer(deps, tasks)
        self.pulses = Pulses(tasks)
        self.selection = Selection(deps)
        self.replays = Replays(deps)
        self._deps = deps
        self._tasks = tasks
        self._loader = Loader(deps)
        self._boards = Boards(deps.clock)
        self._following: dict[str, Following] = {}
        self._running: set[asyncio.Task[None]] = set()
        #: Of the names of markets, as they were in the last seconds.
        self._versions: tuple[int, ...] = ()

    @property
    def subscriptions(self) -> int:
        return sum(board.listeners for board in self._boards)

    async def join(self, wishes: Sequence[Wish], stack: ExitStack) -> list[Board]:
        """The boards of `wishes`, which are loaded, and kept while `stack` is open."""
        return await self._loaded(self._boards_of(wishes, stack))

    async def join_late(self, wishes: Sequence[Wish], stack: ExitStack, since: Seq | None = None) -> list[Board]:
        """The same once what the exchanges' streams told lately is known, or after a while without.

        With `since` they are of one exchange, whose stream is read from there on if that can be.
        """
        boards = self._boards_of(wishes, stack, since)
        with suppress(TimeoutError):
            async with asyncio.timeout(REACH_LIMIT_S):
                for exchange in {board.exchange for board in boards}:
                    await self.following(exchange).caught_up.wait()
        return await self._loaded(boards)

    def tell_otherwise(self, client: Client, topic: Topic, shape: Shape) -> None:
        if board := self._boards.get(topic):
            board.add(client, shape)

    def leave(self, client: Client, topics: Iterable[Topic]) -> None:
        boards = [board for topic in topics if (board := self._boards.get(topic))]
        client.forget({board.number for board in boards})
        for board in boards:
            self._boards.release(board.remove(client))

    def following(self, exchange: str, since: Seq | None = None) -> Following:
        """The exchange's stream, which is read from now on if it was not."""
        if exchange not in self._following:
            made = Following(exchange, self._deps, self._hear, self._reach_end, since)
            self._following[exchange] = made
            self._run(self._follow(made), f"follow {exchange}")
        return self._following[exchange]

    async def look_after(self) -> None:
        """Every second: tell of bars that ended by themselves, have read again what history may have changed."""
        while True:
            await asyncio.sleep(BLOCK_MS / 1000)
            await self._look_for_names()
            for number, board in enumerate(self._boards, 1):
                now_ms = self._deps.clock.now_ms()
                board.tell_afterwards(now_ms)
                if (
                    self._boards.due.get(board, board.loaded_ms + (RELOAD_MS if board.ready else RETRY_MS))
                    <= now_ms
                ):
                    self._boards.due.pop(board, None)
                    self._loader.ask(board)
                if number % AT_A_TIME == 0:
                    await asyncio.sleep(0)
            self._check_clients()

    def start(self) -> None:
        self._run(self.look_after(), "look after the boards")
        for _ in range(WORKERS):
            self._run(self._loader.run(), "load boards")

    def stop(self) -> None:
        self.announcer.stop()
        self.pulses.stop()
        for task in self._running:
            task.cancel()

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._tasks.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _check_clients(self) -> None:
        now_s = time.monotonic()
        for client in [*self.clients]:
            client.check(now_s)
            if client.is_due(now_s):
                client.tell(Heartbeat(self._deps.clock.now_ms(), self._told_until(client)))

    def _told_until(self, client: Client) -> dict[str, str]:
        """A seq for each of its exchanges, up to which everything was told."""
        following = (self._following.get(exchange) for exchange in sorted(client.exchanges))
        seqs = ((one.exchange, one.recent.afterwards()) for one in following if one and one.recent.caught_up)
        return {exchange: seq for exchange, seq in seqs if seq}

    async def _look_for_names(self) -> None:
        """Boards of markets that were renamed go on with what these are called now.

        A change is looked at twice: somebody may have been about to subscribe under the name of before.
        """
        try:
            versions = (await self._deps.symbols.version(), *self._versions[:2])
            if len(set(versions)) > 1:
                now = await self._deps.symbols.now({board.market.id for board in self._boards})
                for board in self._boards:
                    self._follow_market(board, now.get(board.market.id, board.market))
            self._versions = versions
        except CandlehouseError as error:
            log.debug("Names cannot be read", reason=str(error))  # the boards themselves complain

    def _follow_market(self, board: Board, market: Stored) -> None:
        if (market.id, market.instrument.key) == (board.market.id, board.key):
            board.market = market  # its exchange may call it otherwise
            return
        log.info("A market was renamed", before=board.key, now=market.instrument.key)
        self._boards.rename(board, market)
        self._hear((board.key, *heard) for heard in board.recent.of(market.instrument))

    def _boards_of(self, wishes: Sequence[Wish], stack: ExitStack, since: Seq | None = None) -> list[Board]:
        boards: list[Board] = []
        # One callback for all: a context for each would be a kilobyte for each stream that somebody asks for.
        stack.callback(self._let_go, boards)
        for wish in wishes:
            following = self.following(wish.market.instrument.exchange, since)
            board = self._boards.get(wish.topic)
            board = board or self._boards.make(wish.topic, wish.market, following.recent)
            board.expect()
            boards.append(board)
        return boards

    def _let_go(self, boards: Iterable[Board]) -> None:
        for board in boards:
            board.expect_no_more()
            self._boards.release(board)

    async def _loaded(self, boards: list[Board]) -> list[Board]:
        missing = [board for board in boards if not board.ready]
        await self._tell_of_now(missing)
        await self._loader.load(board for board in missing if not board.ready)
        now_ms = self._deps.clock.now_ms()
        for board in boards:
            board.tell_afterwards(now_ms)
        return boards

    async def _tell_of_now(self, boards: Sequence[Board]) -> None:
        """Let the boards hear what was told of their markets lately."""
        silent = []
        for board in boards:
            known = list(board.recent.of(board.market.instrument))
            for message, place in known:
                board.hear(message, place)
            if not known:
                silent.append(board)
        try:
            found = await self._deps.feed.latest_of([board.market.instrument for board in silent])
        except CandlehouseError as error:
            log.warning("The newest candles cannot be read", boards=len(silent), reason=str(error))
            return
        for board, newest in zip(silent, found, strict=True):
            if newest:
                board.hear(newest, "")

    async def _follow(self, following: Following) -> None:
        try:
            await following.run(self._boards.has)
        finally:
            del self._following[following.exchange]

    def _reach_end(self, exchange: str, lost: bool) -> None:
        """Tell what the last minutes brought.

        After an outage a part of the stream may be gone, so everything is read again from the database, too.
        """
        boards = self._boards.of_exchange(exchange)
        markets = {board.key: board for board in boards}
        heard = [(key, *one) for key, of in markets.items() for one in of.recent.of(of.market.instrument)]
        self._hear(sorted(heard, key=lambda one: place_of(one[2])))
        if lost:
            self._boards.due |= dict.fromkeys(boards, 0)

    def _hear(self, heard: Iterable[Told]) -> None:
        self._boards.hear(heard)


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
