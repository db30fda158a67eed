"""What the web reads of candles."""

from collections.abc import Sequence
from typing import Protocol

from common.interval import Interval
from common.market import Bar
from common.span import Span
from common.timeframe import Timeframe


class Candles(Protocol):
    async def read(
        self,
        symbol_id: int,
        interval: Interval,
        start_ms: int | None,
        end_ms: int,
        limit: int,
        newest: bool = True,
    ) -> list[Bar]:
        """The newest `limit` bars whose bucket starts in [start, end), or the oldest; ascending."""

    async def bars(
        self, symbol_id: int, timeframe: Timeframe, start_ms: int | None, end_ms: int, limit: int
    ) -> list[Bar]:
        """The same of any timeframe."""

    async def known(self, symbol_id: int) -> list[Span]: ...
    async def last_close(self, symbol_ids: Sequence[int]) -> dict[int, tuple[int, float]]:
        """When the newest stored minute of each began, and its close."""


class ManyBars(Protocol):
    async def read(
        self, symbol_ids: Sequence[int], timeframe: Timeframe | Interval, start_ms: int, end_ms: int
    ) -> dict[int, list[Bar]]:
        """All bars of many markets whose buckets start in [start, end), ascending, by market."""
