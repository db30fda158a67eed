"""Asking exchanges by REST: within the rate budget, with every trouble told as Retryable or Rejected."""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import httpx

from common.clock import Clock
from common.errors import Blocked, Rejected, Retryable
from common.histogram import Histogram
from common.ports import Budget, Exchange, Priority, Request, Spending
from common.span import floor_minute
from fetchers.certificates import disbelieved

#: Real seconds for a whole answer, and for its parts.
ANSWER_S, CONNECT_S, SILENT_S = 90, 10, 30
#: What is live gives up sooner: on a way that was cut, what is asked anew is answered before what was lost.
TIMEOUTS = {
    Priority.LIVE: httpx.Timeout(10, connect=5),
    Priority.HISTORY: httpx.Timeout(SILENT_S, connect=CONNECT_S),
}
#: Before the first repetition, doubled each time; and the most between two.
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 1.0, 60.0
#: Everybody is quiet this long when a refusal names no time; and when this network or country is refused.
PAUSE_S, BLOCKED_S = 60.0, 600.0
#: Added to what a server tells, which counts in whole seconds, and by its own clock.
LATER_S = 1.0
#: In the Clock's time: a longer quiet is told to the caller, not waited out, so that no worker sleeps for days.
PATIENCE_S = 90.0
BLOCKED_STATUSES = ("403", "451")
#: The server's clock may be this far from ours: what it counted before is not of our minute.
CLOCKS_APART_MS = 2000

_JSON = {"content-type": "application/json"}
_DIRECTLY = {f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")}


class HttpClient:
    """One pool of connections for every exchange; `rest_urls` and `budgets` are by exchange name."""

    def __init__(self, rest_urls: Mapping[str, str], budgets: Mapping[str, Budget], clock: Clock) -> None:
        self._rest_urls = rest_urls
        self._budgets = budgets
        self._clock = clock
        #: How long answers took in real seconds, by exchange and HTTP status, or `none` where no answer came.
        self.answered: dict[tuple[str, str], Histogram] = {}
        self._client = httpx.AsyncClient(
            timeout=TIMEOUTS[Priority.HISTORY],
            headers={"user-agent": "candlehouse"},
            mounts=_DIRECTLY,
        )

    async def get(self, exchange: Exchange, request: Request, priority: Priority = Priority.HISTORY) -> bytes:
        """The answer's body. Raises Retryable or Rejected, after telling everybody to be quiet if so asked."""
        budget = self._budgets[exchange.name]
        spending = await budget.acquire(request.weight, priority)
        sent_ms, began_s, counted, status = self._clock.now_ms(), time.perf_counter(), None, "none"
        try:
            address = self._address(exchange, request)
            answer = await self._ask(exchange.name, address, request, TIMEOUTS[priority])
            status = str(answer.status_code)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            counted = self._of_this_minute(exchange.used_weight(headers), sent_ms)
        finally:
            self.answered.setdefault((exchange.name, status), Histogram()).add(time.perf_counter() - began_s)
            await _settle(budget, spending, counted)
        refusal = exchange.refusal(answer.status_code, headers, answer.content)
        if refusal is not None:
            await self._tell(budget, refusal, sent_ms)
            raise refusal
        return answer.content

    async def get_retrying(
        self,
        exchange: Exchange,
        request: Request,
        attempts: int = 6,
        priority: Priority = Priority.HISTORY,
    ) -> bytes:
        """`get`, asking again while the exchange cannot answer; the last attempt's error is raised.

        So is one that says not to ask again for longer than anybody should wait here.
        """
        for attempt in range(attempts - 1):
            try:
                return await self.get(exchange, request, priority)
            except Retryable as error:
                if (error.retry_after_s or 0) > PATIENCE_S:
                    raise
                await self._clock.sleep(back_off_s(attempt, error.retry_after_s))
        return await self.get(exchange, request, priority)

    async def handshake(self, url: str, request: Request) -> bytes:
        """What `request` is answered on the host of the WebSocket at `url`, outside any budget."""
        host = url.replace("ws", "http", 1) if url.startswith("ws") else url
        answer = await self._ask(url, host.rstrip("/") + request.path, request, TIMEOUTS[Priority.LIVE])
        if not answer.is_success:
            raise Retryable(f"{url} answered {answer.status_code} before connecting", status=answer.status_code)
        return answer.content

    async def close(self) -> None:
        await self._client.aclose()

    def _address(self, exchange: Exchange, request: Request) -> str:
        """Where the exchange is asked at another address than its own, its other hosts are there as well."""
        base, path = self._rest_urls[exchange.name], request.path
        if "://" in path and base != exchange.rest_url:
            path = urlsplit(path).path
        return path if "://" in path else base.rstrip("/") + path

    async def _ask(self, who: str, address: str, request: Request, patience: httpx.Timeout) -> httpx.Response:
        """The one place where httpx's errors end."""
        method, headers = ("GET", {}) if request.body is None else ("POST", _JSON)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._client.request(
                    method,
                    address,
                    params=dict(request.params),
                    content=request.body,
                    headers=headers,
                    timeout=patience,
                )
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            raise Retryable(f"{who} does not answer: {_reason(error)}") from error
        except httpx.InvalidURL as error:
            raise Rejected(f"{who} cannot be asked: {error}") from error

    async def _tell(self, budget: Budget, refusal: Exception, sent_ms: int) -> None:
        """A refusal of everybody holds for everybody."""
        now_ms = self._clock.now_ms()
        if isinstance(refusal, Blocked):
            until_ms = now_ms + round(BLOCKED_S * 1000)
            await budget.refuse(refusal.status or 403, until_ms, sent_ms, str(refusal))
        elif isinstance(refusal, Retryable) and refusal.status in (418, 429):
            until_ms = now_ms + round((refusal.retry_after_s or PAUSE_S) * 1000)
            until_ms = max(until_ms, refusal.until_ms or 0) + round(LATER_S * 1000)
            await budget.refuse(refusal.status, until_ms, sent_ms)

    def _of_this_minute(self, used_weight: int | None, sent_ms: int) -> int | None:
        """A count that may be of the minute before would be held against this one."""
        is_surely = floor_minute(sent_ms - CLOCKS_APART_MS) == floor_minute(self._clock.now_ms())
        return used_weight if is_surely else None


async def _settle(budget: Budget, spending: Spending, counted: int | None) -> None:
    """Without Redis an answer is no worse; what was spent stays counted as under way for longer than it was."""
    with suppress(Retryable):
        await budget.settle(spending, counted)


def back_off_s(failures: int, told_s: float | None = None) -> float:
    """Full jitter, after the time that the other side asked for."""
    return (told_s or 0) + random.uniform(0, min(LONGEST_BACK_OFF_S, FIRST_BACK_OFF_S * 2.0 ** min(failures, 10)))


def _reason(error: BaseException) -> str:
    return disbelieved(error) or str(error) or type(error).__name__
