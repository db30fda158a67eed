"""WebSocket /api/ohlcvs: reads what a client wants, and lets its outbox feed the socket."""

import asyncio
from typing import Any

import msgspec
import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from common.errors import BadInput, CandlehouseError
from common.interval import Interval
from web.deps import Deps, Stored
from web.errors import NotFound
from web.live.client import Client
from web.live.frames import Topic
from web.live.hub import Hub
from web.live.protocol import Asked, AskedStatus, NotJson, parse, parse_json, refusal, subscribed, unsubscribed
from web.markets import find_market

log = structlog.get_logger(__name__)
router = APIRouter()

MOST_SUBSCRIPTIONS = 1000


@router.websocket("/api/ohlcvs")
async def ohlcvs(websocket: WebSocket) -> None:
    await websocket.accept()
    conversation = Conversation(websocket.app.state.deps, websocket.app.state.hub)
    try:
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(conversation.client.send_to(websocket.send_text))
            await _listen(websocket, conversation)
            sending.cancel()
    except* (WebSocketDisconnect, TimeoutError) as gone:
        log.debug("A client is gone", reason=repr(gone.exceptions[0]))
    except* NotJson:
        await websocket.close(1003, "Messages must be JSON.")
    finally:
        conversation.end()


async def _listen(websocket: WebSocket, conversation: "Conversation") -> None:
    while (message := await websocket.receive())["type"] != "websocket.disconnect":
        await conversation.hear(parse_json(message.get("text") or message.get("bytes") or ""))


class Conversation:
    """One client, what it subscribed to, and whether it wants to be told everything."""

    def __init__(self, deps: Deps, hub: Hub) -> None:
        self.client = Client(hub.sent)
        self._deps = deps
        self._hub = hub
        self._topics: dict[Topic, dict[str, str]] = {}
        hub.clients += 1
        self._tags = False

    async def hear(self, said: Any) -> None:
        self._tags = self._tags or (isinstance(said, dict) and said.get("tags") is True)
        try:
            asked = parse(said)
            if isinstance(asked, AskedStatus):
                await self._status(asked)
            else:
                await (self._subscribe(asked) if asked.subscribe else self._unsubscribe(asked))
        except BadInput as error:
            await self._refuse(said, error)
        except CandlehouseError as error:
            log.warning("A subscription failed", reason=str(error))
            await self._refuse(said, BadInput("", str(error)))

    def end(self) -> None:
        self._hub.clients -= 1
        self._hub.announcer.remove(self.client)
        for topic in self._topics:
            self._hub.unsubscribe(self.client, topic)

    async def _subscribe(self, asked: Asked) -> None:
        market = await self._market(asked)
        topic = Topic(market.instrument.key, asked.interval, market.id)
        held = self._held(topic.key, topic.interval)
        if len(self._topics) >= MOST_SUBSCRIPTIONS and not held:
            allowed = f"at most {MOST_SUBSCRIPTIONS} subscriptions on one connection"
            raise BadInput("event_type", f"Too many subscriptions: {allowed}.", allowed)
        if held and held != topic:  # another market bears this name by now
            self._leave(held)
        names = self._topics[topic] = _names(market, asked)
        if self._tags:
            await self._reply(subscribed(asked, names))
        await self._hub.subscribe(self.client, market, asked.interval, asked.shape)

    async def _unsubscribe(self, asked: Asked) -> None:
        topic = await self._topic(asked)
        names = self._leave(topic) if topic else None
        await self._reply(unsubscribed(asked, names, tags=self._tags))

    def _leave(self, topic: Topic) -> dict[str, str]:
        self._hub.unsubscribe(self.client, topic)
        return self._topics.pop(topic)

    async def _status(self, asked: AskedStatus) -> None:
        """Whoever asks for this is no old client, so it is always answered."""
        if asked.exchange and asked.exchange not in self._deps.exchanges:
            known = ", ".join(self._deps.exchanges)
            raise BadInput("exchange", f"Unknown exchange {asked.exchange!r}; use one of {known}.", known)
        if asked.subscribe:
            await self._hub.announcer.add(self.client, asked.exchange)
        else:
            self._hub.announcer.remove(self.client)
        event = "subscribed" if asked.subscribe else "unsubscribed"
        await self._reply({"event": event, "data_type": "status", "exchange": asked.exchange})

    async def _topic(self, asked: Asked) -> Topic | None:
        """Its subscription, without a look into the database where its names are the normalised ones."""
        key = f"{asked.exchange}:{asked.market_type}:{asked.base_id}/{asked.quote_id}"
        if held := self._held(key, asked.interval):
            return held
        try:
            market = await self._market(asked)
        except NotFound:
            return None
        return self._held(market.instrument.key, asked.interval)

    def _held(self, key: str, interval: Interval) -> Topic | None:
        return next((one for one in self._topics if one[:2] == (key, interval)), None)

    async def _market(self, asked: Asked) -> Stored:
        return await find_market(self._deps, asked.exchange, asked.base_id, asked.quote_id, asked.market_type)

    async def _refuse(self, said: Any, error: BadInput) -> None:
        log.debug("A client's message was refused", field=error.field, reason=error.sentence)
        if (answer := refusal(said, error, tags=self._tags)) is not None:
            await self._reply(answer)

    async def _reply(self, answer: dict[str, Any]) -> None:
        await self.client.reply(msgspec.json.encode(answer).decode())


def _names(market: Stored, asked: Asked) -> dict[str, str]:
    whose = market.instrument
    return {
        "exchange": whose.exchange,
        "base_id": whose.base,
        "quote_id": whose.quote,
        "interval": asked.interval.value,
    }
