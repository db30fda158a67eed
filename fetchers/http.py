"""Asking exchanges by REST: within the rate budget, with every trouble told as Retryable or Rejected."""

import asyncio
import random
from collections.abc import Mapping

import httpx

from common.clock import Clock
from common.errors import Rejected, Retryable
from common.ports import Budget, Exchange, Request
from common.span import floor_minute

#: Real seconds for a whole answer, and for its parts.
ANSWER_S, CONNECT_S, SILENT_S = 90, 10, 30
#: Before the first repetition, doubled each time; and the most between two.
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 1.0, 60.0
#: Everybody pauses this long when a refusal names no time.
PAUSE_S = 60.0
#: The server's clock may be this far from ours: what it counted before is not of our minute.
CLOCKS_APART_MS = 2000

_DIRECTLY = {f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")}


class HttpClient:
    """One pool of connections for every exchange; `rest_urls` and `budgets` are by exchange name."""

    def __init__(self, rest_urls: Mapping[str, str], budgets: Mapping[str, Budget], clock: Clock) -> None:
        self._rest_urls = rest_urls
        self._budgets = budgets
        self._clock = clock
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(SILENT_S, connect=CONNECT_S),
            headers={"user-agent": "candlehouse"},
            mounts=_DIRECTLY,
        )

    async def get(self, exchange: Exchange, request: Request) -> bytes:
        """The answer's body. Raises Retryable, after telling everybody to pause if so asked, or Rejected."""
        budget = self._budgets[exchange.name]
        await budget.acquire(request.weight)
        sent_ms = self._clock.now_ms()
        answer = await self._ask(exchange.name, self._rest_urls[exchange.name], request)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        await self._report(budget, exchange.used_weight(headers), sent_ms)
        refusal = exchange.refusal(answer.status_code, headers, answer.content)
        if isinstance(refusal, Retryable) and refusal.status in (418, 429):
            await budget.pause(refusal.retry_after_s or PAUSE_S)
        if refusal is not None:
            raise refusal
        return answer.content

    async def get_retrying(self, exchange: Exchange, request: Request, attempts: int = 6) -> bytes:
        """`get`, asking again while the exchange cannot answer; the last attempt's error is raised."""
        for attempt in range(attempts - 1):
            try:
                return await self.get(exchange, request)
            except Retryable as error:
                await self._clock.sleep(back_off_s(attempt, error.retry_after_s))
        return await self.get(exchange, request)

    async def handshake(self, url: str, request: Request) -> bytes:
        """What `request` is answered on the host of the WebSocket at `url`, outside any budget."""
        answer = await self._ask(url, url.replace("ws", "http", 1) if url.startswith("ws") else url, request)
        if not answer.is_success:
            raise Retryable(f"{url} answered {answer.status_code} before connecting", status=answer.status_code)
        return answer.content

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, who: str, base: str, request: Request) -> httpx.Response:
        """The one place where httpx's errors end."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._client.get(base.rstrip("/") + request.path, params=dict(request.params))
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            raise Retryable(f"{who} does not answer: {_reason(error)}") from error
        except httpx.InvalidURL as error:
            raise Rejected(f"{who} cannot be asked: {error}") from error

    async def _report(self, budget: Budget, used_weight: int | None, sent_ms: int) -> None:
        """A count that may be of the minute before would be held against this one."""
        now_ms = self._clock.now_ms()
        if used_weight is not None and floor_minute(sent_ms - CLOCKS_APART_MS) == floor_minute(now_ms):
            await budget.report(used_weight)


def back_off_s(failures: int, told_s: float | None = None) -> float:
    """Full jitter, after the time that the other side asked for."""
    return (told_s or 0) + random.uniform(0, min(LONGEST_BACK_OFF_S, FIRST_BACK_OFF_S * 2.0 ** min(failures, 10)))


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
