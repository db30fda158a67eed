"""Bybit's public spot stream as https://bybit-exchange.github.io/docs/v5/ws/connect and its wire describe it."""

from itertools import count
from typing import Any

import msgspec
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from common.span import MINUTE_MS
from scripts.simulator.feed import Feed, Update, closes_once
from scripts.simulator.market import Row, Symbol
from scripts.simulator.sockets import POLICY, Outbox, Sockets
from scripts.simulator.text import plain
from scripts.simulator.world import World

#: The closing message was seen 0.1 to 1.1 s after the minute.
_LATEST_CLOSE_MS = 1100

#: The documents ask for a ping every 20 s, and do not say who is hung up on; here whoever misses two.
_PINGLESS_S = 60

#: A close that is told later corrects one that was wrong, and the new minute has been told long ago.
_CORRECTION_MS = 10_000

_TOPICS_PER_MESSAGE, _TOPIC = 10, "kline.1."

_numbers = count(1)

advance = closes_once(_LATEST_CLOSE_MS)


def encode(update: Update) -> str:
    """The message; in every other minute the closing one holds the new minute, too."""
    symbol, row, closed, at_ms, _ = update
    entries = [_entry(row, closed, at_ms)]
    next_ms = row.open_ms + MINUTE_MS
    if closed and next_ms // MINUTE_MS % 2 and at_ms < next_ms + _CORRECTION_MS:
        flat = Row(next_ms, row.close, row.close, row.close, row.close, 0.0, 0.0, 0, 0.0, 0.0)
        entries.append(_entry(flat, False, at_ms))
    return f'{{"type":"snapshot","topic":"{_TOPIC}{symbol.native}","data":[{",".join(entries)}],"ts":{at_ms}}}'


def _entry(row: Row, closed: bool, at_ms: int) -> str:
    return (
        f'{{"start":{row.open_ms},"end":{row.open_ms + MINUTE_MS - 1},"interval":"1","open":"{plain(row.open)}",'
        f'"close":"{plain(row.close)}","high":"{plain(row.high)}","low":"{plain(row.low)}",'
        f'"volume":"{plain(row.volume)}","turnover":"{plain(row.quote_volume)}",'
        f'"confirm":{"true" if closed else "false"},"timestamp":{at_ms}}}'
    )


def routes(world: World, sockets: Sockets, feed: Feed) -> list[BaseRoute]:
    """The one address."""

    async def endpoint(websocket: WebSocket) -> None:
        if await sockets.refuses(websocket):
            return
        connection = _Connection(world, sockets, feed)
        try:
            await sockets.converse(websocket, connection.outbox, connection.hear, [connection.listen])
        finally:
            connection.leave()

    return [WebSocketRoute("/bybit/v5/public/spot", endpoint)]


class _Connection:
    def __init__(self, world: World, sockets: Sockets, feed: Feed) -> None:
        self.outbox = Outbox()
        self._world = world
        self._sockets = sockets
        self._feed = feed
        self._watched: dict[str, Symbol] = {}
        self._heard_ms = world.clock.now_ms()
        self._id = f"d9avt8shteepr00gfc1g-{next(_numbers):05x}"

    async def listen(self) -> None:
        """Hang up on whoever forgets to ping."""
        while self._world.clock.now_ms() - self._heard_ms < _PINGLESS_S * 1000:
            await self._world.clock.sleep(_PINGLESS_S / 10)
        self.outbox.close(POLICY)

    def leave(self) -> None:
        for symbol in self._watched.values():
            self._feed.leave(symbol, self)

    def deliver(self, symbol: Symbol, payload: str) -> None:
        self.outbox.put(payload)

    def hear(self, text: str) -> None:
        self._heard_ms = self._world.clock.now_ms()
        try:
            asked = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            return self._say("", f"Failed to decode incoming data:{error}", {})
        op = asked.get("op") if isinstance(asked, dict) else None
        if op == "ping":
            if not self._sockets.is_silent(heartbeat=True):
                self._say("ping", "", asked, "pong")
        elif op in ("subscribe", "unsubscribe"):
            names = [str(name) for name in asked.get("args") or []]
            self._say(op, (self._subscribe if op == "subscribe" else self._unsubscribe)(names), asked, op)
        else:
            self._say("", "error:invalid op", asked if isinstance(asked, dict) else {})

    def _subscribe(self, names: list[str]) -> str:
        """Why none of them is; empty when all are."""
        if len(names) > _TOPICS_PER_MESSAGE:
            return "args size >10"
        found: dict[str, Symbol] = {}
        for name in names:
            symbol = (
                self._world.market.find("bybit", name.removeprefix(_TOPIC)) if name.startswith(_TOPIC) else None
            )
            if name in self._watched:
                return f"error:already subscribed,topic:{name}"
            if symbol is None or symbol.status != "TRADING":
                return f"Invalid symbol :[{name}]"
            found[name] = symbol
        self._watched |= found
        for symbol in found.values():
            self._feed.watch(symbol, self)
        return ""

    def _unsubscribe(self, names: list[str]) -> str:
        for name in names:
            if (symbol := self._watched.pop(name, None)) is not None:
                self._feed.leave(symbol, self)
        return ""

    def _say(self, op: str, refusal: str, asked: dict[str, Any], words: str = "") -> None:
        named = {"req_id": asked["req_id"]} if "req_id" in asked else {}
        answer = {"success": not refusal, "ret_msg": refusal or words, "conn_id": self._id, **named, "op": op}
        self.outbox.put(msgspec.json.encode(answer).decode())
