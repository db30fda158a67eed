"""What one client is subscribed to, and what it is told when it joins."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack

from common.errors import BadInput, CandlehouseError
from common.market import Instrument
from common.timeframe import Timeframe
from web.deps import Deps
from web.live.answers import Id, Missed
from web.live.board import Board
from web.live.client import Client
from web.live.frames import Encoded, Shape, State, listing
from web.live.history import Since, changes, last_bars
from web.live.hub import Hub, Wish
from web.live.limits import MOST_SUBSCRIPTIONS
from web.live.place import Seq
from web.live.streams import Topic

#: Bars of the snapshot that follows where a client cannot go on and asked for none.
MISSED_BARS = 100
TOO_OLD = "What {} told after this is not kept any more; snapshots follow."


class Subscriptions:
    """Adding is all or nothing: what fails leaves the client with none of what it asked for."""

    def __init__(self, client: Client, deps: Deps, hub: Hub) -> None:
        self._client = client
        self._deps = deps
        self._hub = hub
        #: Whose bars each is, as it was called then, and how it is told.
        self.topics: dict[Topic, tuple[Instrument, Shape]] = {}
        self._held: dict[tuple[str, Timeframe], Topic] = {}

    def held(self, key: str, timeframe: Timeframe) -> Topic | None:
        """What it is subscribed to under this name."""
        return self._held.get((key, timeframe))

    def check(self, more: Iterable[Topic], field: str = "streams") -> None:
        """Raise BadInput where these would be too many."""
        wanted = len(self._held.keys() | {topic[:2] for topic in more})
        if wanted > MOST_SUBSCRIPTIONS:
            allowed = f"at most {MOST_SUBSCRIPTIONS} subscriptions on one connection"
            raise BadInput(field, f"Too many subscriptions: {allowed}, and these make {wanted}.", allowed)

    async def show(self, wishes: Sequence[Wish]) -> None:
        """Told of each bar as it is, and of every change from now on."""
        with self._joining(wishes), ExitStack() as stack:
            self._show(await self._hub.join(wishes, stack), wishes)

    async def show_with_seq(self, wishes: Sequence[Wish]) -> None:
        """The same once it is known where the bars stand in the exchanges' streams."""
        with self._joining(wishes), ExitStack() as stack:
            self._show(await self._hub.join_late(wishes, stack), wishes)

    async def snapshots(self, wishes: Sequence[Wish], most: int) -> None:
        """Told the last `most` bars, and of every change to them and after them."""
        with self._joining(wishes), ExitStack() as stack:
            boards = await self._hub.join_late(wishes, stack)
            for board, wish in zip(boards, wishes, strict=True):
                await self._client.room()
                with board.watched() as told:
                    states = await last_bars(board, self._deps, most, told)
                    self._attach(board, wish)
                self._client.say(self._snapshot(board, states, wish.shape))

    async def resume(
        self, wishes: Sequence[Wish], seqs: Mapping[str, tuple[str, Seq]], most: int, id_: Id
    ) -> None:
        """Told what changed after the exchange's seq, or of what is not kept any more the last `most` bars."""
        for exchange, (text, seq) in seqs.items():
            own = [wish for wish in wishes if wish.market.instrument.exchange == exchange]
            with self._joining(own), ExitStack() as stack:
                boards = await self._hub.join_late(own, stack, seq)
                recent = self._hub.following(exchange).recent
                if recent.caught_up and recent.reaches(seq, (board.market.instrument for board in boards)):
                    moment_ms = recent.moment_ms(seq.place, self._deps.clock)
                    await self._go_on(boards, own, Since(seq, moment_ms))
                    continue
                streams = [board.names.stream for board in boards]
            missed = Missed(
                id=id_, exchange=exchange, resume_from=text, detail=TOO_OLD.format(exchange), streams=streams
            )
            await self._client.reply(missed)
            await self.snapshots(own, most or MISSED_BARS)

    def remove(self, topics: Iterable[Topic]) -> None:
        gone = {topic: self.topics.pop(topic, None) for topic in topics}
        for topic in gone:
            if self._held.get(topic[:2]) == topic:
                del self._held[topic[:2]]
        self._hub.leave(self._client, gone)

    def encode(self, *, packed: bool) -> None:
        """Have everything told so from now on."""
        for topic, (market, shape) in self.topics.items():
            self.topics[topic] = (market, shape._replace(packed=packed))
            self._hub.tell_otherwise(self._client, topic, shape._replace(packed=packed))

    async def _go_on(self, boards: Sequence[Board], wishes: Sequence[Wish], since: Since) -> None:
        shapes = {board: wish.shape for board, wish in zip(boards, wishes, strict=True)}
        found = await changes(boards, self._deps, dict.fromkeys((board.exchange for board in boards), since))
        for board, wish in zip(boards, wishes, strict=True):
            self._attach(board, wish)
        for board, state in found:
            board.offer(self._client, shapes[board], state)

    def _show(self, boards: Sequence[Board], wishes: Sequence[Wish]) -> None:
        for board, wish in zip(boards, wishes, strict=True):
            self._attach(board, wish)
            board.show(self._client, wish.shape)

    def _attach(self, board: Board, wish: Wish) -> None:
        topic, market = board.topic, wish.market.instrument  # its own words, so that a thousand clients share them
        if board.market.instrument == market:
            market = board.market.instrument
        held = self._held.get(topic[:2])
        if held == topic:
            self._client.forget({board.number})
        elif held:  # another market bears this name by now
            self.remove([held])
        self._held[topic[:2]] = topic
        self._client.exchanges.add(board.exchange)
        board.add(self._client, wish.shape)
        self.topics[topic] = (market, wish.shape)

    def _snapshot(self, board: Board, states: Sequence[State], shape: Shape) -> Encoded:
        head = {"event": "snapshot", "stream": board.names.stream, "seq": board.recent.afterwards()}
        return listing(head, [board.frame(state, shape) for state in states], packed=shape.packed)

    def _joining(self, wishes: Sequence[Wish]) -> "_Joining":
        return _Joining(self, [wish.topic for wish in wishes])


class _Joining:
    """Takes back what was joined when the block fails; boards that nobody wants are gone after it."""

    def __init__(self, subscriptions: Subscriptions, topics: list[Topic]) -> None:
        self._subscriptions, self._topics = subscriptions, topics

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, CandlehouseError):
            self._subscriptions.remove(self._topics)
