"""The misbehaviour that can be switched on and off while the simulator runs."""

from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import msgspec

from common.clock import Clock
from common.errors import BadInput
from common.span import MINUTE_MS, Span
from scripts.simulator.listings import EXCHANGES
from scripts.simulator.market import Symbol

Kind = Literal[
    "no_trades",
    "rate_limit",
    "disconnect",
    "late_correction",
    "missing_close",
    "silence",
    "slow",
    "truncate",
    "maintenance",
    "ban",
    "archive_missing",
    "archive_checksum",
    "archive_truncated",
    "archive_draft",
    "archive_header",
    "geo_block",
]
KINDS: tuple[str, ...] = get_args(Kind)
EXCHANGE_NAMES = ("*", *EXCHANGES)


class Fault(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One switch, as POST /_sim/faults takes it; `on: false` removes every fault of that exchange and kind.

    symbols        no_trades, late_correction, missing_close, archive_…: native or BASE/QUOTE names; empty is all
    start, end     no_trades: milliseconds, end excluded; from now on and for ever where absent
                   archive_…: concerns the archives that start then; all where absent
    count          rate_limit, truncate: how many of the next REST answers; absent: truncate goes on
    retry_after_s  rate_limit (Binance): the header's value
    seconds        slow: how long an answer waits; ban: how long it lasts
    every_s        disconnect: again after so many seconds, else once
    notice_s       disconnect: announced so many seconds before, in the exchange's words
    delay_s        late_correction: the true values follow the wrong close after so many seconds; 0 is never
    heartbeats     silence: heartbeats still come, only candles do not
    status         geo_block: what REST answers, 451 or 403
    """

    exchange: str
    kind: str
    on: bool = True
    symbols: list[str] = []
    start: int | None = None
    end: int | None = None
    count: int | None = None
    retry_after_s: float = 5
    seconds: float = 2
    every_s: float = 0
    notice_s: float = 0
    delay_s: float = 20
    heartbeats: bool = False
    status: int = 451

    def concerns(self, symbol: Symbol) -> bool:
        return not self.symbols or bool(
            {symbol.native, f"{symbol.base}/{symbol.quote}"} & {name.upper() for name in self.symbols}
        )


class Faults:
    """The faults that are on, in the order they came."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._on: list[Fault] = []
        self._since_ms: dict[int, int] = {}
        #: Called with each fault that is switched on or off; the sockets' servers listen.
        self.listeners: list[Callable[[Fault], None]] = []

    def switch(self, body: bytes) -> None:
        """Raise BadInput with the field and what is allowed when `body` is no switch."""
        fault = _read(body)
        if fault.on and fault.kind == "no_trades" and fault.start is None:
            fault.start = self._clock.now_ms()
        if fault.on and fault.kind == "rate_limit" and fault.count is None:
            fault.count = 1
        if fault.on:
            if fault.kind != "disconnect" or fault.every_s:
                self._on.append(fault)
                self._since_ms[id(fault)] = self._clock.now_ms()
        else:
            gone = [one for one in self._on if fault.kind == one.kind and fault.exchange in ("*", one.exchange)]
            self._on = [one for one in self._on if one not in gone]
        for listener in self.listeners:
            listener(fault)

    def clear(self) -> None:
        """Switch everything off."""
        for kind in {fault.kind for fault in self._on}:
            self.switch(msgspec.json.encode({"exchange": "*", "kind": kind, "on": False}))

    def listed(self) -> list[Fault]:
        return list(self._on)

    def find(self, exchange: str, kind: Kind) -> Fault | None:
        """The newest fault of this kind that is on for `exchange`."""
        return next(self._matching(exchange, kind), None)

    def spend(self, exchange: str, kind: Kind) -> Fault | None:
        """Like `find`, and count one answer off a fault that is limited to some."""
        fault = self.find(exchange, kind)
        if fault is not None and fault.count is not None:
            fault.count -= 1
            if fault.count <= 0:
                self._on = [one for one in self._on if one is not fault]
        return fault

    def age_s(self, fault: Fault) -> float:
        """Seconds since it was switched on."""
        return (self._clock.now_ms() - self._since_ms[id(fault)]) / 1000

    def quiet(self, symbol: Symbol, minute: int) -> int | None:
        """Since which minute nobody trades, when nobody trades in `minute`."""
        for fault in self._matching(symbol.exchange, "no_trades"):
            first, ms = -(-(fault.start or 0) // MINUTE_MS), minute * MINUTE_MS
            if minute >= first and (fault.end is None or ms < fault.end) and fault.concerns(symbol):
                return first
        return None

    def closing(self, kind: Kind, symbol: Symbol) -> Fault | None:
        """The fault that concerns the last state of this symbol's minutes.

        late_correction    it is told wrongly
        missing_close      it is not told
        """
        return next((one for one in self._matching(symbol.exchange, kind) if one.concerns(symbol)), None)

    def archive(self, kind: Kind, symbol: Symbol, span: Span) -> Fault | None:
        """The fault of this kind that concerns the archive of `span`.

        archive_missing    it is not published
        archive_checksum   its checksum is another's
        archive_truncated  half of it is published
        archive_draft      it lacks its last hour and has a wrong close, until this is off and it is issued again
        archive_header     it starts with the names of its columns
        """
        for fault in self._matching(symbol.exchange, kind):
            if fault.concerns(symbol) and (fault.start or 0) <= span.start_ms < (fault.end or 1 << 62):
                return fault
        return None

    def _matching(self, exchange: str, kind: str) -> Iterator[Fault]:
        if self._on:
            yield from (one for one in reversed(self._on) if one.kind == kind and one.exchange in ("*", exchange))


def _read(body: bytes) -> Fault:
    try:
        fields: Any = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise BadInput("body", "The body is not JSON.", "a JSON object") from error
    if not isinstance(fields, dict):
        raise BadInput("body", "The body is not a JSON object.", "a JSON object")
    _known("exchange", fields.get("exchange"), EXCHANGE_NAMES)
    _known("kind", fields.get("kind"), KINDS)
    for name, value in fields.items():
        _known("a field", name, Fault.__struct_fields__)
        try:
            msgspec.convert({"exchange": "*", "kind": "", name: value}, Fault)
        except msgspec.ValidationError as error:
            raise BadInput(name, f"{name} is wrong: {error}.", str(Fault.__annotations__[name])) from error
    fault = msgspec.convert(fields, Fault)
    for name in ("count", "seconds", "retry_after_s", "every_s", "notice_s", "delay_s"):
        if (getattr(fault, name) or 0) < 0:
            raise BadInput(name, f"{name} is negative.", "0 or more")
    if fault.end is not None and fault.start is not None and fault.end <= fault.start:
        raise BadInput("end", "end is not after start.", "milliseconds after start")
    return fault


def _known(field: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadInput(
            str(value) if field == "a field" else field,
            f"{value!r} is not {field} that can be set; use one of {', '.join(allowed)}.",
            ", ".join(allowed),
        )
