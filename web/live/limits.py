"""What one connection may cost, and how a connection that costs more is closed."""

import time
from collections.abc import Callable

#: Connections of one process, and streams of one connection.
MOST_CLIENTS = 5_000
MOST_SUBSCRIPTIONS = 1_000
#: Characters of one message to us.
MOST_MESSAGE = 65_536
#: Messages a second that a client may send for long, and how many at once.
MESSAGES_A_SECOND, MOST_MESSAGES_AT_ONCE = 20, 2_000
#: Bars of one snapshot, and of all snapshots of one message.
MOST_SNAPSHOT, MOST_SNAPSHOTS = 500, 50_000

#: What a client may have waiting once its socket has been full for a second. With its subscriptions, uvicorn's own
#: buffer and the system's this stays below 1 MiB; tests/benchmarks/bench_paused.py measures it.
MOST_WAITING_BYTES, FULL_FOR_S = 640 * 1024, 1.0
#: Candles that may wait at any time while its socket is full: each stream may end a bar and begin another.
MOST_WAITING = 2 * MOST_SUBSCRIPTIONS + 500
#: Replies and snapshots that wait, beyond which a client's next wish waits.
MOST_REPLIES_BYTES = 128 * 1024
#: What a waiting candle holds at most: its frame, and its place in the outbox.
CANDLE_BYTES = 560
#: Candles of one batch: at most some 100 kB.
MOST_BATCHED = 400
#: A socket that takes no frame for this long is dead.
SEND_LIMIT_S = 20.0
#: How long somebody who joins waits until the exchange's stream is read to its end.
REACH_LIMIT_S = 5.0
#: How long a client is given to read why its connection ends.
CLOSE_LIMIT_S = 30.0

#: Between two flushes of a batching client that asked for no rate; and what it may ask for.
BATCH_MS = 100
LEAST_RATE, MOST_RATE = 0.1, 50.0
LEAST_HEARTBEAT_S, MOST_HEARTBEAT_S = 1, 300

#: Close codes of our own doing.
SLOW = TOO_MANY_MESSAGES = 1008
TOO_BIG = 1009
FAILED = 1011
FULL = 1013

TOO_SLOW = "Too slow: what waits was given up; resume from the last seq."
TOO_MANY = f"More than {MESSAGES_A_SECOND} messages a second."
TOO_LONG = f"A message of more than {MOST_MESSAGE} characters."
BROKEN = "A fault of the server, whose log says more; come back, with resume_from."
NO_ROOM = f"{MOST_CLIENTS} clients are connected; try again later."


class Closing(Exception):
    """The connection ends with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Rate:
    """Counts messages down from `most`, of which `per_second` come back."""

    def __init__(
        self,
        per_second: float = MESSAGES_A_SECOND,
        most: int = MOST_MESSAGES_AT_ONCE,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second, self._most, self._now_s = per_second, most, now_s
        self._left, self._at_s = float(most), now_s()

    def take(self) -> None:
        """Raise Closing when there were too many."""
        now_s = self._now_s()
        self._left = min(self._most, self._left + (now_s - self._at_s) * self._per_second)
        self._at_s = now_s
        if self._left < 1:
            raise Closing(TOO_MANY_MESSAGES, TOO_MANY)
        self._left -= 1
