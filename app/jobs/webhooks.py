"""Tell other programs by HTTP of what happens to the feeds: signed, in order, and again until they take it."""

import asyncio
import hashlib
import hmac
import socket
from contextlib import suppress

import httpx
import structlog
from redis.asyncio import Redis

from app.happening import Happening, encode
from app.jobs.outage import Outage
from app.stores.events import EventStream
from app.stores.webhooks import Webhook, WebhookStore
from common.clock import Clock
from common.errors import Malformed, Rejected, Retryable
from fetchers.http import back_off_s

log = structlog.get_logger(__name__)

#: Real seconds for one answer, and between two looks for addresses that were added or removed.
ANSWER_S, LOOK_S = 10.0, 5.0
#: In the Clock's time: a message that was not taken for so long is given up, so that newer ones get their turn.
GIVE_UP_S = 3600
BLOCK_MS, AT_ONCE = 2_000, 100


def signature(secret: str, body: bytes) -> str:
    """What the header X-Candlehouse-Signature holds."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


async def run_webhooks(redis: Redis, hooks: WebhookStore, clock: Clock) -> None:
    """Never returns; cancel it at any moment. Each address is told by a task of its own."""
    outage, telling = Outage("What knows whom to tell", clock), dict[int, asyncio.Task[None]]()
    async with httpx.AsyncClient(timeout=ANSWER_S) as client, asyncio.TaskGroup() as tasks:
        while True:
            try:
                wanted = {one.id: one for one in await hooks.all()}
            except (Retryable, Rejected) as error:
                await outage.wait(error)
                continue
            outage.over()
            for number in telling.keys() - wanted.keys():
                telling.pop(number).cancel()
            for number in wanted.keys() - telling.keys():
                teller = _Teller(wanted[number], client, redis, hooks, clock)
                telling[number] = tasks.create_task(teller.run(), name=f"webhook {number}")
            await asyncio.sleep(LOOK_S)


class _Teller:
    def __init__(
        self, hook: Webhook, client: httpx.AsyncClient, redis: Redis, hooks: WebhookStore, clock: Clock
    ) -> None:
        self._hook = hook
        self._client = client
        self._hooks = hooks
        self._clock = clock
        self._told = EventStream(redis, f"webhook {hook.id}", socket.gethostname(), since="$")

    async def run(self) -> None:
        """First what was not taken before, then what comes; from when the address was added."""
        outage, own = Outage(f"What webhook {self._hook.id} is told from", self._clock), True
        while True:
            try:
                await self._told.ensure_group()
                entries = await self._told.pending(AT_ONCE) if own else await self._told.read(AT_ONCE, BLOCK_MS)
                for entry, one in entries:
                    if not isinstance(one, Malformed) and one.kind in self._hook.kinds:
                        await self._deliver(one)
                    await self._told.ack([entry])
                own = own and bool(entries)
            except (Retryable, Rejected) as error:
                own = True
                await outage.wait(error)
            else:
                outage.over()

    async def _deliver(self, one: Happening) -> None:
        failures, began_ms = 0, self._clock.now_ms()
        while failure := await self._post(one):
            now_ms = self._clock.now_ms()
            with suppress(Retryable, Rejected):
                await self._hooks.failed(self._hook.id, now_ms, failure)
            if now_ms - began_ms >= GIVE_UP_S * 1000:
                log.error("A webhook is not told", webhook=self._hook.id, host=self._hook.host, reason=failure)
                return
            if not failures:
                told = {"webhook": self._hook.id, "host": self._hook.host, "reason": failure}
                log.warning("A webhook does not answer", **told)
            failures += 1
            await self._clock.sleep(back_off_s(failures))
        with suppress(Retryable, Rejected):  # it was told, whether that is noted or not
            await self._hooks.took(self._hook.id, self._clock.now_ms())

    async def _post(self, one: Happening) -> str:
        """Why it was not taken; empty when it was."""
        body = encode(one)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "candlehouse",
            "X-Candlehouse-Event": one.kind.value,
            "X-Candlehouse-Id": one.id,
            "X-Candlehouse-Signature": signature(self._hook.secret, body),
        }
        try:
            answer = await self._client.post(self._hook.url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return str(error) or type(error).__name__
        return "" if answer.is_success else f"HTTP {answer.status_code}"
