"""One client: what it says, in the predecessor's words or the newer ones, and what it is answered."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from common.errors import BadInput, CandlehouseError
from web.deps import Deps
from web.live import old_wishes
from web.live.answers import Configured, Pong, Refused, Subscribed, Unsubscribed
from web.live.client import Client, Options
from web.live.frames import Shape
from web.live.hub import Hub, Wish
from web.live.limits import MOST_SNAPSHOTS, Rate
from web.live.parsing import parse_text
from web.live.place import Seq, parse_seq
from web.live.player import Player
from web.live.requests import (
    Configure,
    Pause,
    Ping,
    Replay,
    Request,
    Resume,
    Stop,
    Subscribe,
    Unsubscribe,
    is_newer,
    parse_request,
)
from web.live.streams import Topic, parse_patterns, stream_name
from web.live.subscriptions import Subscriptions

log = structlog.get_logger(__name__)


class Conversation:
    """`tags`: it asked to be told everything. `newer`: it sent a newer message, so it understands our answers."""

    def __init__(self, deps: Deps, hub: Hub) -> None:
        self.client = Client(hub.sent)
        self.subscriptions = Subscriptions(self.client, deps, hub)
        self.tags = self.newer = False
        self.deps, self.hub = deps, hub
        self._rate = Rate()
        self._player = Player(self.client, deps, hub.replays)
        hub.clients[self.client] = None

    async def hear(self, text: str | bytes) -> None:
        """Raise Closing for a client that says too much."""
        self._rate.take()
        said: Any = None
        try:
            said = parse_text(text, packed=self.client.options.packed)
            self.tags = self.tags or (isinstance(said, dict) and said.get("tags") is True)
            self.newer = self.newer or is_newer(said)
            if is_newer(said):
                await self._do(parse_request(said))
            else:
                await old_wishes.hear(self, said)
        except BadInput as error:
            await self._refuse(said, error)
        except CandlehouseError as error:
            log.warning("A subscription failed", reason=str(error))
            await self._refuse(said, BadInput("", str(error)))

    def end(self) -> None:
        self._player.end()
        self.hub.clients.pop(self.client, None)
        self.hub.pulses.remove(self.client)
        self.hub.announcer.remove(self.client)
        self.subscriptions.remove(list(self.subscriptions.topics))

    async def _do(self, asked: Request) -> None:
        match asked:
            case Subscribe():
                await self._subscribe(asked)
            case Unsubscribe():
                await self._unsubscribe(asked)
            case Configure():
                await self._configure(asked)
            case Ping():
                await self.client.reply(Pong(id=asked.id, at=self.deps.clock.now_ms()))
            case Replay():
                found = await self.hub.selection.select(parse_patterns(asked.streams))
                await self._player.start(asked, found)
            case Pause():
                await self._player.pause(asked)
            case Resume():
                await self._player.go_on(asked)
            case Stop():
                await self._player.stop()

    async def _subscribe(self, asked: Subscribe) -> None:
        found = await self.hub.selection.select(parse_patterns(asked.streams))
        self.subscriptions.check(found)
        if asked.snapshot * len(found) > MOST_SNAPSHOTS:
            allowed = f"at most {MOST_SNAPSHOTS} bars in all"
            raise BadInput(
                "snapshot", f"{len(found)} streams of {asked.snapshot} bars are too many: {allowed}.", allowed
            )
        shape = Shape(packed=self.client.options.packed)
        wishes = [Wish(market, topic, shape) for topic, market in found.items()]
        seqs = {} if asked.resume_from is None else _seqs(asked.resume_from, wishes)
        streams = [stream_name(wish.market.instrument, wish.topic.timeframe) for wish in wishes]
        await self.client.reply(Subscribed(id=asked.id, streams=streams))
        if seqs:
            await self.subscriptions.resume(wishes, seqs, asked.snapshot, asked.id)
            wishes = [wish for wish in wishes if wish.market.instrument.exchange not in seqs]
        if asked.snapshot:
            await self.subscriptions.snapshots(wishes, asked.snapshot)
        else:
            await self.subscriptions.show_with_seq(wishes)

    async def _unsubscribe(self, asked: Unsubscribe) -> None:
        patterns = parse_patterns(asked.streams, any_timeframe=True)
        gone: dict[Topic, str] = {}
        for topic, (market, _) in self.subscriptions.topics.items():
            for pattern in patterns:
                if pattern.timeframe in (None, topic.timeframe) and pattern.selects(market):
                    gone[topic] = stream_name(market, topic.timeframe)
        self.subscriptions.remove(gone)
        await self.client.reply(Unsubscribed(id=asked.id, streams=list(gone.values())))

    async def _configure(self, asked: Configure) -> None:
        old = self.client.options
        packed = old.packed if asked.encoding is None else asked.encoding == "msgpack"
        rate = old.max_rate if asked.max_rate is None else asked.max_rate or None
        options = Options(
            old.batch if asked.batch is None else asked.batch,
            rate,
            old.heartbeat_s if asked.heartbeat_s is None else asked.heartbeat_s,
            packed,
        )
        self.client.set(options)
        self.hub.pulses.set(self.client)
        if packed != old.packed:
            self.subscriptions.encode(packed=packed)
        await self.client.reply(
            Configured(
                id=asked.id,
                batch=options.batch,
                max_rate=rate,
                heartbeat_s=options.heartbeat_s,
                encoding="msgpack" if packed else "json",
            )
        )

    async def _refuse(self, said: Any, error: BadInput) -> None:
        log.debug("A client's message was refused", field=error.field, reason=error.sentence)
        if not self.newer:
            await old_wishes.refuse(self, said, error)
            return
        given = said.get("id") if isinstance(said, dict) else None
        id_ = given if isinstance(given, str | int) else None
        await self.client.reply(
            Refused(detail=error.sentence, field=error.field, allowed=error.allowed)
            if id_ is None
            else Refused(id=id_, detail=error.sentence, field=error.field, allowed=error.allowed)
        )


def _seqs(given: str | Mapping[str, str], wishes: Sequence[Wish]) -> dict[str, tuple[str, Seq]]:
    """By exchange. One seq alone can only mean one exchange."""
    exchanges = sorted({wish.market.instrument.exchange for wish in wishes})
    if isinstance(given, str):
        if len(exchanges) > 1:
            allowed = "an object with a seq for each exchange"
            sentence = f"These streams are of {', '.join(exchanges)}: resume_from must be {allowed}."
            raise BadInput("resume_from", sentence, allowed)
        given = {exchanges[0]: given}
    if strange := sorted(given.keys() - set(exchanges)):
        raise BadInput("resume_from", f"No stream is of {strange[0]!r}.", ", ".join(exchanges))
    return {exchange: (seq, parse_seq(seq)) for exchange, seq in given.items()}
