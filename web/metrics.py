"""The figures that the web tells: of everything that it can ask Redis and PostgreSQL for, and of itself.

docs/reference/metrics.md says the same to people.
"""

from app.metrics import process
from app.metrics.scrape import counter, gauge, spread

FIGURES = {
    "candlehouse_source_up": gauge("1 when a source of these figures answered: database, redis, queues", "source"),
    "candlehouse_stream_up": gauge("1 when the exchange is connected and its newest candle is recent", "exchange"),
    "candlehouse_stream_state": gauge("1 at the state that the exchange's stream is in", "exchange", "state"),
    "candlehouse_stream_connections": gauge("Connections to the exchange that are open", "exchange"),
    "candlehouse_stream_symbols": gauge("Markets that the stream follows", "exchange"),
    "candlehouse_stream_newest_candle_age_seconds": gauge(
        "Since the start of the newest candle of the exchange", "exchange"
    ),
    "candlehouse_stream_malformed_total": counter(
        "Messages of the exchange that could not be understood", "exchange"
    ),
    "candlehouse_stream_processes": gauge("Processes that share the exchange's markets", "exchange"),
    "candlehouse_events_total": counter(
        "What happened to the feed, by kind; counted in Redis, so emptying it begins anew", "exchange", "kind"
    ),
    "candlehouse_budget_used": gauge(
        "Rate units of the last minute and of what is under way, all processes together", "exchange"
    ),
    "candlehouse_budget_limit": gauge("What they may be at most; 0 when nobody asked lately", "exchange"),
    "candlehouse_budget_waiting": gauge("Requests that wait for their turn", "exchange", "priority"),
    "candlehouse_budget_quiet_seconds": gauge(
        "For how long nobody asks the exchange anything, as it wants", "exchange"
    ),
    "candlehouse_closed_candles_backlog": gauge("Closed candles that are not in the database yet"),
    "candlehouse_closed_candles_consumers": gauge("Updaters that read them within the last minute"),
    "candlehouse_redis_stream_entries": gauge("How long the streams in Redis are", "stream"),
    "candlehouse_processes": gauge("Processes that live, by what they do", "role"),
    "candlehouse_candles": gauge("Stored 1-minute candles, as PostgreSQL estimates them"),
    "candlehouse_symbols": gauge("Markets of which candles were asked for"),
    "candlehouse_disk_free_bytes": gauge("Free on the disk of the database, where it can be seen"),
    "candlehouse_disk_total_bytes": gauge("Size of the disk of the database, where it can be seen"),
    "candlehouse_disk_needed_bytes": gauge("What seven days of streams and planned fetches need of it at most"),
    "candlehouse_rollup_dirty_rows": gauge("Changed spans that the rollups do not hold yet; answers include them"),
    "candlehouse_fetch_failures": gauge("Failed fetches that nothing has repaired since", "exchange"),
    "candlehouse_gap_minutes": gauge(
        "Wanted minutes of all markets that are not answered, older than five minutes", "exchange"
    ),
    "candlehouse_outages": gauge("Outages of the exchange that its history shows", "exchange"),
    "candlehouse_fetch_jobs": gauge("Fetches that are queued or running", "exchange"),
    "candlehouse_fetch_candles": gauge(
        "Minutes that these were asked for, of all markets; each a candle if traded", "exchange"
    ),
    "candlehouse_fetch_candles_left": gauge("Those of them that are still to be asked for", "exchange"),
    "candlehouse_fetch_rows": gauge("Candles that these have written", "exchange"),
    "candlehouse_fetch_requests": gauge("Requests that these have made", "exchange"),
    "candlehouse_fetch_errors": gauge("Pages that these could not have", "exchange"),
    "candlehouse_worker_pulse_age_seconds": gauge("Since the exchange's workers last took a message", "exchange"),
    "candlehouse_queue_length": gauge("Messages that no worker has taken yet", "queue"),
    "candlehouse_queue_oldest_seconds": gauge("How long the oldest of these has waited; 0 without any", "queue"),
    "candlehouse_queue_consumers": gauge("Worker processes that take messages of the queue", "queue"),
    "candlehouse_heal_pending_seconds": gauge(
        "Since when REST has not answered for what the feed may have missed; 0 when it has", "exchange"
    ),
    "candlehouse_websocket_clients": gauge("WebSocket connections of this web process"),
    "candlehouse_websocket_subscriptions": gauge("What they are subscribed to"),
    "candlehouse_websocket_messages_total": counter("Messages that these were sent"),
    "candlehouse_websocket_conflated_total": counter(
        "States of bars that a slow client was not sent: a newer came"
    ),
    "candlehouse_websocket_dropped_total": counter("Clients that were dropped, since they took nothing any more"),
    "candlehouse_http_request_seconds": spread("How long answers took to begin and end", "route", "status"),
    **process.FIGURES,
}
