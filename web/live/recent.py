"""What an exchange's stream told in the last minutes, for boards that are made later."""

from collections.abc import Iterator

from app.messages import CandleMessage

#: Newest minutes kept of each market: those that the database may not have yet.
KEPT_MINUTES = 4


class Recent:
    """The newest state of each market's newest minutes. `caught_up` once the stream's end was reached."""

    def __init__(self) -> None:
        self.caught_up = False
        self._minutes: dict[str, dict[int, tuple[CandleMessage, str]]] = {}

    def hear(self, message: CandleMessage, seq: str) -> None:
        minutes = self._minutes.setdefault(message.key, {})
        minutes[message.time] = (message, seq)
        if len(minutes) > KEPT_MINUTES:
            del minutes[min(minutes)]

    def of(self, key: str) -> Iterator[tuple[CandleMessage, str]]:
        """The market's minutes, oldest first; none while only a part of the stream was read."""
        minutes = self._minutes.get(key, {}) if self.caught_up else {}
        return (minutes[time] for time in sorted(minutes))


def back(entry_id: str, by_ms: int) -> str:
    """The stream place `by_ms` before the entry `entry_id`, whose number begins with its milliseconds."""
    return f"{max(0, _numbers(entry_id)[0] - by_ms)}-0"


def before(entry_id: str, other: str) -> bool:
    """Whether the first entry stands before the second in the stream."""
    return _numbers(entry_id) < _numbers(other)


def _numbers(entry_id: str) -> tuple[int, int]:
    ms, _, number = entry_id.rpartition(":")[2].partition("-")
    return int(ms), int(number or 0)
