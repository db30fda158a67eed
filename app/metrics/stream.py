"""What one stream process tells of its part of an exchange's feed."""

import time
from collections.abc import Awaitable, Callable, Sequence
from operator import attrgetter

from app.messages import CandleMessage
from app.metrics.scrape import Scrape, counter, gauge, spread
from common.clock import Clock
from common.histogram import LONG_SECONDS, Histogram
from fetchers.traffic import Traffic

FIGURES = {
    "candlehouse_feed_frames_total": counter("Messages that came from the exchange", "exchange"),
    "candlehouse_feed_bytes_total": counter("Their size", "exchange"),
    "candlehouse_feed_candles_total": counter("States of candles that they told", "exchange"),
    "candlehouse_feed_opened_total": counter("Connections that were opened", "exchange"),
    "candlehouse_feed_lost_total": counter("Connections that were lost", "exchange"),
    "candlehouse_feed_connections": gauge("Connections that are open", "exchange"),
    "candlehouse_feed_markets": gauge("Markets that this process streams", "exchange"),
    "candlehouse_feed_silent_seconds": gauge("Since the exchange last told of any candle", "exchange"),
    "candlehouse_feed_away_seconds": spread(
        "From when a lost connection was last heard of until its return", "exchange"
    ),
    "candlehouse_feed_buffer_candles": gauge("Candles that wait to be written to Redis", "exchange"),
    "candlehouse_feed_write_seconds": spread("How long Redis took for one write", "exchange"),
    "candlehouse_feed_delay_seconds": spread(
        "From hearing of a candle until Redis had it; the oldest of a write", "exchange"
    ),
}

Write = Callable[[Sequence[CandleMessage]], Awaitable[None]]


class FeedFigures:
    """Counted as it happens; seconds of `away` and `delay` are the Clock's."""

    def __init__(self, exchange: str, clock: Clock) -> None:
        self._exchange = exchange
        self._clock = clock
        self.traffic = Traffic()
        self.opened = self.lost = 0
        self._away = Histogram(LONG_SECONDS)
        self._writing, self._delay = Histogram(), Histogram()

    def came_back(self, since_ms: int) -> None:
        """A connection is up again that was last heard at `since_ms`."""
        self._away.add((self._clock.now_ms() - since_ms) / 1000)

    async def timed(self, write: Write, batch: Sequence[CandleMessage]) -> None:
        """`write(batch)`, noting how long it took; one that fails is not counted."""
        began_s = time.perf_counter()
        await write(batch)
        self._writing.add(time.perf_counter() - began_s)
        oldest_ms = min(map(attrgetter("received"), batch))
        self._delay.add(max(0, self._clock.now_ms() - oldest_ms) / 1000)

    def tell(self, scrape: Scrape, connections: int, markets: int, buffered: int, heard_ms: int) -> None:
        """With what stands at this moment; `heard_ms` is 0 while nothing was ever heard."""
        exchange, traffic = self._exchange, self.traffic
        if heard_ms:
            silent_s = (self._clock.now_ms() - heard_ms) / 1000
            scrape.add("candlehouse_feed_silent_seconds", silent_s, exchange=exchange)
        for name, value in {
            "frames_total": traffic.frames,
            "bytes_total": traffic.bytes,
            "candles_total": traffic.candles,
            "opened_total": self.opened,
            "lost_total": self.lost,
            "connections": connections,
            "markets": markets,
            "buffer_candles": buffered,
        }.items():
            scrape.add(f"candlehouse_feed_{name}", value, exchange=exchange)
        for name, values in {"away": self._away, "write": self._writing, "delay": self._delay}.items():
            scrape.spread(f"candlehouse_feed_{name}_seconds", values, exchange=exchange)
