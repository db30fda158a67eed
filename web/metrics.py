"""The figures that Prometheus reads: their names, what they mean, and their text.

docs/reference/metrics.md says the same to people.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

#: Name -> meaning. What ends in `_total` counts up from its stream's start; the others go up and down.
MEANINGS = {
    "candlehouse_build_info": "1; its labels tell the version that runs",
    "candlehouse_source_up": "1 when a source of these figures answered: database, redis, queues",
    "candlehouse_stream_up": "1 when the exchange is connected and its newest candle is recent",
    "candlehouse_stream_state": "1 at the state that the exchange's stream is in",
    "candlehouse_stream_connections": "Connections to the exchange that are open",
    "candlehouse_stream_symbols": "Markets that the stream follows",
    "candlehouse_stream_newest_candle_age_seconds": "Since the start of the newest candle of the exchange",
    "candlehouse_stream_malformed_total": "Messages of the exchange that could not be understood",
    "candlehouse_stream_processes": "Processes that share the exchange's markets",
    "candlehouse_events_total": "What happened to the feed, by kind; counted in Redis, so emptying it begins anew",
    "candlehouse_budget_used": "Rate units of the last minute and of what is under way, all processes together",
    "candlehouse_budget_limit": "What they may be at most; 0 when nobody asked lately",
    "candlehouse_budget_waiting": "Requests that wait for their turn",
    "candlehouse_budget_quiet_seconds": "For how long nobody asks the exchange anything, as it wants",
    "candlehouse_closed_candles_backlog": "Closed candles that are not in the database yet",
    "candlehouse_candles": "Stored 1-minute candles, as PostgreSQL estimates them",
    "candlehouse_symbols": "Markets of which candles were asked for",
    "candlehouse_disk_free_bytes": "Free on the disk of the database, where it can be seen",
    "candlehouse_disk_total_bytes": "Size of the disk of the database, where it can be seen",
    "candlehouse_disk_needed_bytes": "What seven days of streams and planned fetches need of it at most",
    "candlehouse_rollup_dirty_rows": "Changed spans that the rollups do not hold yet; answers include them",
    "candlehouse_fetch_failures": "Failed fetches that nothing has repaired since",
    "candlehouse_gap_minutes": "Wanted minutes of all markets that are not answered, older than five minutes",
    "candlehouse_outages": "Outages of the exchange that its history shows",
    "candlehouse_fetch_jobs": "Fetches that are queued or running",
    "candlehouse_fetch_candles": "Minutes that these were asked for, of all markets; each a candle if traded",
    "candlehouse_fetch_candles_left": "Those of them that are still to be asked for",
    "candlehouse_fetch_rows": "Candles that these have written",
    "candlehouse_fetch_requests": "Requests that these have made",
    "candlehouse_fetch_errors": "Pages that these could not have",
    "candlehouse_worker_pulse_age_seconds": "Since the exchange's workers last took a message",
    "candlehouse_queue_length": "Messages that no worker has taken yet",
    "candlehouse_websocket_clients": "WebSocket connections of this web process",
    "candlehouse_websocket_subscriptions": "What they are subscribed to",
}


class Scrape:
    """One answer, filled figure by figure; a figure that nobody added is told without a value."""

    def __init__(self) -> None:
        self._metrics = {name: _metric(name, meaning) for name, meaning in MEANINGS.items()}

    def add(self, name: str, value: float, **labels: str) -> None:
        self._metrics[name].add_sample(name, labels, value)

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics.values()

    def text(self, accept: str) -> tuple[bytes, str]:
        """The answer in the form that the asker reads, and what this form is called."""
        encode, content_type = choose_encoder(accept)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return encode(registry), content_type


def _metric(name: str, meaning: str) -> Metric:
    counts = name.endswith("_total")
    return Metric(name.removesuffix("_total"), meaning, "counter" if counts else "gauge")
