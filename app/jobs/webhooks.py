"""Tell other programs by HTTP of what happens to the feeds: signed, in order, and again until they take it.

One process tells at a time, whichever holds the lock; another takes over what it leaves, unfinished first.
"""

import asyncio
import hashlib
import hmac
from contextlib import suppress

import httpx
import structlog
from redis.asyncio import Redis
from redis.exceptions import LockError

from app.happening import Happening, encode
from app.jobs.outage import Outage
from app.stores.events import EventStream
from app.stores.redis_errors import translated
from app.stores.webhooks import Webhook, WebhookStore
from common.clock import Clock
from common.errors import Malformed, Rejected, Retryable
from fetchers.http import back_off_s

log = structlog.get_logger(__name__)

#: Real seconds for one answer, between two looks for addresses that were added or removed, and after which another
#: process takes over from one that says nothing any more.
ANSWER_S, LOOK_S, LOCK_S = 10.0, 5.0, 20.0
#: In the Clock's time: a message that was not taken for so long is given up, so that newer ones get their turn.
GIVE_UP_S = 3600
BLOCK_MS, AT_ONCE, LEAVE_S = 2_000, 100, 2.0
#: The same in every process, so that whoever tells next finds what the last one had not finished.
CONSUMER = "teller"


def signature(secret: str, body: bytes) -> str:
    """What the header X-Candlehouse-Signature holds."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


async def run_webhooks(redis: Redis, hooks: WebhookStore, clock: Clock) -> None:
    """Never returns; cancel it at any moment. Each address is told by a task of its own."""
    outage, telling, turn = Outage("What knows whom to tell", clock), dict[int, asyncio.Task[None]](), _Turn(redis)
    async with httpx.AsyncClient(timeout=ANSWER_S) as client, asyncio.TaskGroup() as tasks:
        try:
            while True:
                try:
                    wanted = {one.id: one for one in await hooks.all()} if await turn.is_ours() else {}
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
        finally:
            await turn.leave()


class _Turn:
    """Whose turn it is to tell."""

    def __init__(self, redis: Redis) -> None:
        self._lock = redis.lock("candlehouse:webhooks", timeout=LOCK_S, thread_local=False)

    async def is_ours(self) -> bool:
        """Take the turn, or keep it; to be asked several times within LOCK_S."""
        with translated():
            try:
                if await self._lock.owned():
                    return bool(await self._lock.reacquire())
                return bool(await self._lock.acquire(blocking=False))
            except LockError:
                return False

    async def leave(self) -> None:
        """The others need not wait."""
        with suppress(Retryable, TimeoutError), translated():
            async with asyncio.timeout(LEAVE_S):
                await self._lock.release()


class _Teller:
    def __init__(
        self, hook: Webhook, client: httpx.AsyncClient, redis: Redis, hooks: WebhookStore, clock: Clock
    ) -> None:
        self._hook = hook
        self._client = client
        self._hooks = hooks
        self._clock = clock
        self._told = EventStream(redis, f"webhook {hook.id}", CONSUMER, since="$")

    async def run(self) -> None:
        """First what was not taken before, then what comes; from when the address was added."""
        outage, own = Outage(f"What webhook {self._hook.id} is told from", self._clock), True
        while True:
            try:
                await self._told.ensure_group()
                entries = await self._told.pending(AT_ONCE) if own else await self._told.read(AT_ONCE, BLOCK_MS)
                for entry, one in entries:
                    # The chronicle logs those that are malformed.
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
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        except (httpx.InvalidURL, ValueError):  # whose words repeat the address
            return "the address cannot be understood"
        return "" if answer.is_success else f"HTTP {answer.status_code}"
