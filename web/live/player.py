"""One client's replay: at its pace, as far as the client reads, until its end or a stop."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from itertools import groupby
from operator import attrgetter

import msgspec
import structlog

from common.errors import BadInput, CandlehouseError
from common.span import MINUTE_MS, Span, floor_minute
from web.deps import Deps, Stored
from web.live.answers import Id, Paused, Replayed, Replaying
from web.live.client import Client
from web.live.frames import batch, encoded
from web.live.limits import MOST_BATCHED
from web.live.pace import Pace
from web.live.replay import Played, Replays
from web.live.requests import Pause, Replay, Resume
from web.live.streams import Topic, stream_name
from web.moment import moment

log = structlog.get_logger(__name__)

NO_REPLAY = "No replay is under way."
BROKEN = "The replay broke off by a fault of the server, whose log says more; ask again from the last bar."


class Player:
    """At most one replay at a time."""

    def __init__(self, client: Client, deps: Deps, replays: Replays) -> None:
        self._client = client
        self._deps = deps
        self._replays = replays
        self._task: asyncio.Task[None] | None = None
        self._pace = Pace(None, 0)
        self._asked: Replaying | None = None
        self._bars = 0

    async def start(self, asked: Replay, streams: Mapping[Topic, Stored]) -> None:
        """Raise BadInput for a range that cannot be, or while another replay is under way."""
        if self._is_playing:
            raise BadInput("event_type", "A replay is under way; stop it first.", "pause, resume, stop")
        span = _span(asked)
        speed = None if asked.speed == "max" else float(asked.speed)
        names = [stream_name(market.instrument, topic.timeframe) for topic, market in streams.items()]
        last_ms = span.end_ms - MINUTE_MS
        self._asked = Replaying(id=asked.id, streams=names, start=span.start_ms, end=last_ms, speed=speed)
        self._pace, self._bars = Pace(speed, span.start_ms), 0
        await self._client.reply(self._asked)
        self._task = asyncio.create_task(self._run(asked.id, streams, span), name="replay")

    async def pause(self, asked: Pause) -> None:
        self._require()
        self._pace.pause()
        await self._client.reply(Paused(id=asked.id, bars=self._bars))

    async def go_on(self, asked: Resume) -> None:
        before = self._require()
        speed = before.speed if asked.speed is None else None if asked.speed == "max" else float(asked.speed)
        self._pace.go_on(speed)
        self._asked = msgspec.structs.replace(before, speed=speed)
        await self._client.reply(msgspec.structs.replace(self._asked, id=asked.id))

    async def stop(self) -> None:
        asked, task = self._require(), self._task
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])
        await self._client.reply(Replayed(id=asked.id, bars=self._bars, because="stopped"))

    def end(self) -> None:
        if self._task:
            self._task.cancel()

    @property
    def _is_playing(self) -> bool:
        return self._task is not None and not self._task.done()

    def _require(self) -> Replaying:
        if not self._is_playing or self._asked is None:
            raise BadInput("event_type", NO_REPLAY, "replay")
        return self._asked

    async def _run(self, id_: Id, streams: Mapping[Topic, Stored], span: Span) -> None:
        try:
            async for window in self._replays.windows(streams, span):
                await self._play(window)
        except CandlehouseError as error:
            self._client.tell(Replayed(id=id_, bars=self._bars, because="error", detail=str(error)))
        except Exception:
            log.exception("A replay broke off", streams=len(streams), bars=self._bars)
            self._client.tell(Replayed(id=id_, bars=self._bars, because="error", detail=BROKEN))
        else:
            await self._client.reply(Replayed(id=id_, bars=self._bars, because="end"))

    async def _play(self, window: list[Played]) -> None:
        if self._pace.is_free:
            await self._send(window)
            if window:
                self._pace.pass_by(window[-1].end_ms)
            return
        for end_ms, bars in groupby(window, key=attrgetter("end_ms")):
            await self._pace.until(end_ms)
            await self._send([*bars])

    async def _send(self, bars: list[Played]) -> None:
        """As fast as the client reads."""
        for at in range(0, len(bars), MOST_BATCHED):
            await self._pace.going.wait()
            await self._client.room()
            options = self._client.options
            frames = [encoded(bar.candle, packed=options.packed) for bar in bars[at : at + MOST_BATCHED]]
            if options.batch:
                self._client.say(batch(frames, packed=options.packed))
            else:
                for frame in frames:
                    self._client.say(frame)
            self._bars += len(frames)
            await asyncio.sleep(0)


def _span(asked: Replay) -> Span:
    start_ms = floor_minute(moment("start", str(asked.start)))
    end_ms = floor_minute(moment("end", str(asked.end)))
    if end_ms < start_ms:
        raise BadInput("end", f"end {asked.end} is before start {asked.start}.", f"from {asked.start} on")
    return Span(start_ms, end_ms + MINUTE_MS)
