"""The REST limits of the exchanges, kept as they document them, and a log of what became of each request.

Binance counts weight by address and by minutes of its own clock; over it, 429 until the minute ends, and whoever
goes on is banned: two minutes, then twice as long each time, three days at most (rest-api.md). Bittrex counts
calls, and begins anew each minute. Coinbase says 10 calls a second and address, Kraken about one. Bitfinex says
30 calls a minute and endpoint, not which minutes: here no 60 seconds may hold more, and who exceeds them is
refused for 60 s (rest-public-candles, v1 introduction). Bybit counts requests by address: no 5 seconds may hold
more than 600, and who exceeds them is banned for ten minutes. OKX counts requests by endpoint: no 2 seconds may
hold more than 40 of the cheapest, or 20 of those that weigh 2.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import NamedTuple

from common.clock import Clock
from common.span import MINUTE_MS, floor_minute

#: What a window may hold: a minute that the clock begins, or, of those named below, the time before each request.
STATED = {"binance": 6000, "bitfinex": 30, "bittrex": 60, "bybit": 600, "coinbase": 10, "kraken": 1, "okx": 40}
SLIDING_MS = {"bitfinex": MINUTE_MS, "bybit": 5000, "okx": 2000, "coinbase": 1000, "kraken": 1000}
#: Exchanges that count each endpoint by itself.
BY_PATH = frozenset({"bitfinex", "okx"})
BYBIT_BAN_MS = 600_000
FIRST_BAN_MS, LONGEST_BAN_MS = 120_000, 3 * 86_400_000
#: So many verdicts are remembered, oldest forgotten first.
LOGGED = 500_000


class Verdict(NamedTuple):
    """`used` is the weight counted with this request; `status` 200, 429 or 418, for `wait_s` more."""

    used: int
    status: int = 200
    wait_s: float = 0


@dataclass(slots=True)
class _Account:
    """What one address asked one exchange, or one endpoint of it, lately."""

    spent: deque[tuple[int, int]] = field(default_factory=deque)
    used: int = 0
    told_until_ms: int = 0
    banned_until_ms: int = 0
    bans: int = 0


class Limits:
    """`enforced` refuses; otherwise it is only counted."""

    def __init__(self, clock: Clock, *, enforced: bool) -> None:
        self._clock = clock
        self.enforced = enforced
        self.stated = dict(STATED)
        #: Each request in order: exchange, address, path, at_ms, weight, used, status.
        self.log: deque[dict[str, str | int]] = deque(maxlen=LOGGED)
        self._accounts: defaultdict[tuple[str, ...], _Account] = defaultdict(_Account)

    def judge(self, exchange: str, address: str, path: str, weight: int) -> Verdict:
        """Count a request, and say whether the exchange would answer it."""
        now_ms = self._clock.now_ms()
        account = self._account(exchange, address, path)
        sliding_ms = SLIDING_MS.get(exchange)
        begin_ms = now_ms - sliding_ms + 1 if sliding_ms else floor_minute(now_ms)
        while account.spent and account.spent[0][0] < begin_ms:
            account.used -= account.spent.popleft()[1]
        account.spent.append((now_ms, weight))
        account.used += weight
        if not self.enforced:
            return Verdict(account.used)
        return self._verdict(exchange, account, now_ms)

    def refuse(self, exchange: str, address: str, path: str, wait_s: float) -> Verdict:
        """Tell to wait, whatever was spent; Binance bans whoever was told so before."""
        now_ms, account = self._clock.now_ms(), self._account(exchange, address, path)
        if exchange == "binance" and now_ms < account.told_until_ms:
            return Verdict(account.used, 418, FIRST_BAN_MS / 1000)
        account.told_until_ms = now_ms + round(wait_s * 1000)
        return Verdict(account.used, 429, wait_s)

    def note(self, exchange: str, address: str, path: str, weight: int, used: int, status: int) -> None:
        entry: dict[str, str | int] = {"exchange": exchange, "address": address, "path": path}
        self.log.append(entry | {"at_ms": self._clock.now_ms(), "weight": weight, "used": used, "status": status})

    def _account(self, exchange: str, address: str, path: str) -> _Account:
        return self._accounts[exchange, address, path if exchange in BY_PATH else ""]

    def _verdict(self, exchange: str, account: _Account, now_ms: int) -> Verdict:
        if now_ms < account.banned_until_ms:
            return Verdict(account.used, 418, (account.banned_until_ms - now_ms) / 1000)
        is_over = account.used > self.stated[exchange]
        if exchange == "bybit" and is_over:
            account.banned_until_ms = now_ms + BYBIT_BAN_MS
            return Verdict(account.used, 418, BYBIT_BAN_MS / 1000)
        if now_ms < account.told_until_ms and exchange == "binance" and is_over:
            ban_ms = min(FIRST_BAN_MS * 2**account.bans, LONGEST_BAN_MS)
            account.bans += 1
            account.banned_until_ms = now_ms + ban_ms
            return Verdict(account.used, 418, ban_ms / 1000)
        if now_ms < account.told_until_ms and exchange == "bitfinex":
            return Verdict(account.used, 429, (account.told_until_ms - now_ms) / 1000)
        if not is_over:
            return Verdict(account.used)
        sliding_ms = SLIDING_MS.get(exchange)
        end_ms = now_ms + sliding_ms if sliding_ms else floor_minute(now_ms) + MINUTE_MS
        account.told_until_ms = end_ms
        return Verdict(account.used, 429, (end_ms - now_ms) / 1000)
