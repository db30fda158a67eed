"""Does what a client asks for in the predecessor's words."""

from typing import TYPE_CHECKING, Any

from common.errors import BadInput
from common.market import Instrument
from common.timeframe import Timeframe
from web.deps import Stored
from web.errors import NotFound
from web.live.hub import Wish
from web.live.old_protocol import Asked, AskedStatus, parse, refusal, subscribed, unsubscribed
from web.live.streams import Topic
from web.markets import find_market

if TYPE_CHECKING:
    from web.live.conversation import Conversation


async def hear(conversation: "Conversation", said: Any) -> None:
    """Raise BadInput for what cannot be done."""
    asked = parse(said, tags=conversation.tags)
    if isinstance(asked, AskedStatus):
        await _status(conversation, asked)
    elif asked.subscribe:
        await _subscribe(conversation, asked)
    else:
        await _unsubscribe(conversation, asked)


async def refuse(conversation: "Conversation", said: Any, error: BadInput) -> None:
    if (answer := refusal(said, error, tags=conversation.tags)) is not None:
        await conversation.client.reply(answer)


async def _subscribe(conversation: "Conversation", asked: Asked) -> None:
    market = await _market(conversation, asked)
    topic = Topic(market.instrument.key, asked.timeframe, market.id)
    conversation.subscriptions.check([topic], "event_type")
    if conversation.tags:
        await conversation.client.reply(subscribed(asked, _names(market.instrument, asked.timeframe)))
    shape = asked.shape._replace(packed=conversation.client.options.packed)
    await conversation.subscriptions.show([Wish(market, topic, shape)])


async def _unsubscribe(conversation: "Conversation", asked: Asked) -> None:
    topic = await _topic(conversation, asked)
    subscription = conversation.subscriptions.topics.get(topic) if topic else None
    names = None
    if topic and subscription:
        names = _names(subscription[0], topic.timeframe)
        conversation.subscriptions.remove([topic])
    await conversation.client.reply(unsubscribed(asked, names, tags=conversation.tags))


async def _status(conversation: "Conversation", asked: AskedStatus) -> None:
    """Whoever asks for this is no old client, so it is always answered."""
    exchanges, announcer = conversation.deps.exchanges, conversation.hub.announcer
    if asked.exchange and asked.exchange not in exchanges:
        known = ", ".join(exchanges)
        raise BadInput("exchange", f"Unknown exchange {asked.exchange!r}; use one of {known}.", known)
    if asked.subscribe:
        await announcer.add(conversation.client, asked.exchange)
    else:
        announcer.remove(conversation.client)
    event = "subscribed" if asked.subscribe else "unsubscribed"
    await conversation.client.reply({"event": event, "data_type": "status", "exchange": asked.exchange})


async def _topic(conversation: "Conversation", asked: Asked) -> Topic | None:
    """Its subscription, without a look into the database where its names are the normalised ones."""
    key = f"{asked.exchange}:{asked.market_type}:{asked.base_id}/{asked.quote_id}"
    if held := conversation.subscriptions.held(key, asked.timeframe):
        return held
    try:
        market = await _market(conversation, asked)
    except NotFound:
        return None
    return conversation.subscriptions.held(market.instrument.key, asked.timeframe)


async def _market(conversation: "Conversation", asked: Asked) -> Stored:
    names = (asked.exchange, asked.base_id, asked.quote_id, asked.market_type)
    return await find_market(conversation.deps, *names)


def _names(whose: Instrument, timeframe: Timeframe) -> dict[str, str]:
    return {
        "exchange": whose.exchange,
        "base_id": whose.base,
        "quote_id": whose.quote,
        "interval": str(timeframe),
    }
