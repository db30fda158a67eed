"""Loads boards in the background, those that wait together by few statements, while the telling goes on."""

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from common.errors import CandlehouseError
from web.deps import Deps
from web.live.board import Board
from web.live.load import empty, load, start_of_current

log = structlog.get_logger(__name__)

#: Boards of one statement, and workers that load at the same time.
MOST_AT_ONCE, WORKERS = 250, 2
#: Empty markets are asked one by one for their newest bar, so many at a time.
OLDER_AT_ONCE = 4


class Loader:
    """`run` it WORKERS times. `ask` for a board to be read again, `load` those that somebody waits for."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._waiting: dict[Board, asyncio.Future[None]] = {}
        self._some = asyncio.Event()

    def ask(self, board: Board) -> asyncio.Future[None]:
        """Done when the board was read, or could not be."""
        self._some.set()
        if board not in self._waiting:
            self._waiting[board] = asyncio.get_running_loop().create_future()
        return self._waiting[board]

    async def load(self, boards: Iterable[Board]) -> None:
        futures = [self.ask(board) for board in boards]
        if futures:
            await asyncio.wait(futures)

    async def run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                await self._load_some()

    async def _load_some(self) -> None:
        """The next boards of one timeframe."""
        now_ms = self._deps.clock.now_ms()
        first = next(iter(self._waiting))
        kind = (first.topic.timeframe, start_of_current(first, now_ms))
        boards: list[Board] = []
        for board in self._waiting:
            if (board.topic.timeframe, start_of_current(board, now_ms)) == kind:
                boards.append(board)
                if len(boards) == MOST_AT_ONCE:
                    break
        futures = [self._waiting.pop(board) for board in boards]
        try:
            await self._read(boards, now_ms)
        finally:
            for future in futures:
                if not future.done():
                    future.set_result(None)

    async def _read(self, boards: Sequence[Board], now_ms: int) -> None:
        try:
            await load(boards, self._deps.many_bars, self._deps.clock)
            await self._read_older(empty(boards))
            for board in boards:
                if board.stale:
                    await self._correct(board)
        except CandlehouseError as error:
            for board in boards:
                board.loaded_ms = now_ms
            log.warning("Bars could not be read", boards=len(boards), first=boards[0].topic, reason=str(error))

    async def _read_older(self, boards: Sequence[Board]) -> None:
        """Of markets without a trade lately, the newest bar before."""
        newest = await self._deps.candles.last_close([board.market.id for board in boards]) if boards else {}
        moved = [
            board
            for board in boards
            if board.market.id in newest and newest[board.market.id][0] != board.older_minute_ms
        ]
        for at in range(0, len(moved), OLDER_AT_ONCE):
            some = moved[at : at + OLDER_AT_ONCE]
            await asyncio.gather(*(self._read_bar(board, newest[board.market.id][0]) for board in some))

    async def _read_bar(self, board: Board, minute_ms: int) -> None:
        start_ms = board.topic.timeframe.floor(minute_ms)
        found = await self._deps.candles.bars(board.market.id, board.topic.timeframe, start_ms, minute_ms + 1, 1)
        board.older, board.older_minute_ms = (found[0] if found else None), minute_ms

    async def _correct(self, board: Board) -> None:
        timeframe = board.topic.timeframe
        while board.stale:
            start_ms = board.stale.pop()
            found = await self._deps.many_bars.read(
                [board.market.id], timeframe, start_ms, timeframe.after(start_ms)
            )
            for bar in found.get(board.market.id, ()):
                board.correct(bar)
