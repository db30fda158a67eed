"""The boards of one process, and which of them a live candle concerns."""

from bisect import insort
from collections.abc import Iterable, Iterator
from itertools import count
from operator import attrgetter

from common.clock import Clock
from web.deps import Stored
from web.live.board import Board
from web.live.following import Told
from web.live.recent import Recent
from web.live.streams import Topic

#: Real seconds that the database needs to have a correction.
CORRECTION_S = 5


class Boards:
    """`due` says when a board is to be read again sooner than usually."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.due: dict[Board, int] = {}
        self._numbers = count(1)
        self._of_topic: dict[Topic, Board] = {}
        self._of_market: dict[str, list[Board]] = {}

    def __iter__(self) -> Iterator[Board]:
        return iter([*self._of_topic.values()])

    def get(self, topic: Topic) -> Board | None:
        return self._of_topic.get(topic)

    def make(self, topic: Topic, market: Stored, recent: Recent) -> Board:
        board = self._of_topic[topic] = Board(next(self._numbers), topic, market, recent)
        self._sort_in(board)
        return board

    def release(self, board: Board) -> None:
        """Forget it if nobody wants it any more."""
        if not board.is_wanted and self._of_topic.get(board.topic) is board:
            del self._of_topic[board.topic]
            self._of_market[board.key].remove(board)
            self.due.pop(board, None)

    def rename(self, board: Board, market: Stored) -> None:
        """It goes on with what its market is called now."""
        self._of_market[board.key].remove(board)
        board.market = market
        self._sort_in(board)
        self.due[board] = 0

    def of_exchange(self, exchange: str) -> list[Board]:
        return [board for board in self._of_topic.values() if board.exchange == exchange]

    def has(self, exchange: str) -> bool:
        return any(board.exchange == exchange for board in self._of_topic.values())

    def hear(self, heard: Iterable[Told]) -> None:
        """Tell what these candles change, each bar once, in the order of the last message of each board."""
        now_ms = self._clock.now_ms()
        touched: dict[Board, None] = {}
        for key, message, place in heard:
            for board in self._of_market.get(key, ()):
                if not board.hear(message, place) or board.stale:
                    self.due[board] = now_ms + self._clock.of_real_s(CORRECTION_S)
                touched.pop(board, None)
                touched[board] = None
        for board in touched:
            board.tell(now_ms)

    def _sort_in(self, board: Board) -> None:
        insort(self._of_market.setdefault(board.key, []), board, key=attrgetter("order"))
