"""What the updater tells of bringing closed candles into the database."""

from app.metrics.scrape import Scrape, counter, spread
from common.histogram import LONG_SECONDS, SIZES, Histogram

FIGURES = {
    "candlehouse_update_commit_seconds": spread("How long PostgreSQL took for one transaction of closed candles"),
    "candlehouse_update_batch_candles": spread("Closed candles in one transaction"),
    "candlehouse_update_candles_total": counter("Closed candles that were committed, known ones included"),
    "candlehouse_update_refused_total": counter("Those of them that are not kept: before their market's horizon"),
    "candlehouse_update_unstorable_total": counter("Candles that can never be stored; ohlcvs_errors says why"),
    "candlehouse_update_delay_seconds": spread("From hearing of a candle to its commit: the oldest of each"),
}


class UpdateFigures:
    """Counted as it happens; the seconds of the delay are the Clock's."""

    def __init__(self) -> None:
        self._commit, self._batch, self._delay = Histogram(), Histogram(SIZES), Histogram(LONG_SECONDS)
        self._candles = self._refused = 0
        self.unstorable = 0

    def committed(self, candles: int, refused: int, seconds: float, delay_s: float) -> None:
        self._candles += candles
        self._refused += refused
        self._batch.add(candles)
        self._commit.add(seconds)
        self._delay.add(max(0.0, delay_s))

    def tell(self, scrape: Scrape) -> None:
        scrape.spread("candlehouse_update_commit_seconds", self._commit)
        scrape.spread("candlehouse_update_batch_candles", self._batch)
        scrape.spread("candlehouse_update_delay_seconds", self._delay)
        scrape.add("candlehouse_update_candles_total", self._candles)
        scrape.add("candlehouse_update_refused_total", self._refused)
        scrape.add("candlehouse_update_unstorable_total", self.unstorable)
