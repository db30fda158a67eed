"""Bitfinex WebSocket v2 as https://docs.bitfinex.com/docs/ws-general and its wire describe it."""

from itertools import count
from typing import Any

import msgspec
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from common.span import MINUTE_MS
from scripts.simulator.bitfinex_rest import candle
from scripts.simulator.feed import Feed, Progress, Update, corrections, final, next_look
from scripts.simulator.market import Row, Symbol
from scripts.simulator.sockets import Outbox, Sockets
from scripts.simulator.world import World

_CHANNELS, _SNAPSHOT_MINUTES, _HEARTBEAT_S, _IDLE_BEATS, _GONE = 30, 120, 15, 4, 1001

_TIMESTAMP, _SEQ_ALL = 32768, 65536

FAREWELL = '{"event":"info","code":20051,"msg":"Stop/Restart Websocket Server (please reconnect)"}'
MAINTENANCE = (
    '{"event":"info","code":20060,"msg":"Entering in Maintenance mode. Please pause any activity"}',
    '{"event":"info","code":20061,"msg":"Maintenance ended. You can resume normal activity."}',
)

_channel_ids = count(343_351)


def advance(world: World, symbol: Symbol, progress: Progress, now_ms: int) -> tuple[list[Update], int]:
    """The running candle when it changed, the one before it again now and then; quiet minutes are not told."""
    rows = corrections(progress, now_ms)
    if rows and progress.before is not None:
        progress.before = next((row for row in rows if row.open_ms == progress.before.open_ms), progress.before)
    while now_ms >= (progress.minute + 1) * MINUTE_MS:
        last = final(world, symbol, progress, now_ms)
        if last is not None and last != progress.told:
            rows.append(last)
        progress.before = last or progress.before
        progress.minute, progress.told = progress.minute + 1, None
    row = world.market.row(symbol, progress.minute, now_ms)
    if row is not None and row != progress.told:
        progress.told, progress.turns = row, progress.turns + 1
        rows.append(row)
        if progress.before is not None and progress.turns % 2:
            rows.append(progress.before)
    return [Update(symbol, row, False, now_ms) for row in rows], next_look(symbol, now_ms)


def encode(update: Update) -> str:
    """The candle; each connection puts its own channel number before it."""
    return candle(update.row)


def routes(world: World, sockets: Sockets, feed: Feed) -> list[BaseRoute]:
    """The one address."""
    sockets.farewell, sockets.maintenance = FAREWELL, MAINTENANCE

    async def endpoint(websocket: WebSocket) -> None:
        connection = _Connection(world, sockets, feed)
        try:
            await sockets.converse(websocket, connection.outbox, connection.hear, [connection.beat])
        finally:
            connection.leave()

    return [WebSocketRoute("/bitfinex/ws/2", endpoint)]


class _Connection:
    def __init__(self, world: World, sockets: Sockets, feed: Feed) -> None:
        self.outbox = Outbox()
        self._world = world
        self._sockets = sockets
        self._feed = feed
        self._channels: dict[Symbol, int] = {}
        self._flags = 0
        self._sequence = 0
        status = 0 if world.faults.find("bitfinex", "maintenance") else 1
        server = "083bd8d4-aca7-4690-a573-eabfc8103de8"
        self._say({"event": "info", "version": 2, "serverId": server, "platform": {"status": status}})

    async def beat(self) -> None:
        """A heartbeat per channel, busy or quiet; a socket without channels is closed after a minute."""
        idle = 0
        while idle < _IDLE_BEATS:
            await self._world.clock.sleep(_HEARTBEAT_S)
            idle = 0 if self._channels else idle + 1
            for channel in self._channels.values():
                if not self._sockets.is_silent(heartbeat=True):
                    self._send(channel, '"hb"')
        self.outbox.close(_GONE)

    def leave(self) -> None:
        for symbol in self._channels:
            self._feed.leave(symbol, self)

    def deliver(self, symbol: Symbol, payload: str) -> None:
        self._send(self._channels[symbol], payload)

    def hear(self, text: str) -> None:
        try:
            asked = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return  # as the exchange does
        event = asked.get("event") if isinstance(asked, dict) else None
        if event == "subscribe":
            self._subscribe(asked)
        elif event == "unsubscribe":
            self._unsubscribe(asked)
        elif event == "conf":
            self._flags = int(asked.get("flags") or 0)
            self._say({"event": "conf", "status": "OK", "flags": self._flags})
        elif event == "ping":
            pong = {"event": "pong", "ts": self._world.clock.now_ms()}
            self._say(pong | ({"cid": asked["cid"]} if "cid" in asked else {}))
        else:
            self._refuse(f"event: invalid ({event})", 10000)

    def _subscribe(self, asked: dict[str, Any]) -> None:
        key = str(asked.get("key", ""))
        told: dict[str, Any] = {name: asked[name] for name in ("channel", "key") if name in asked}
        if asked.get("channel") != "candles":
            return self._refuse("channel: invalid", 10300, told)
        symbol = self._world.market.find("bitfinex", key[10:]) if key.startswith("trade:1m:t") else None
        if symbol is None:
            return self._refuse("key: invalid", 10300, told)
        if symbol in self._channels:
            return self._refuse("subscribe: dup", 10301, told)
        if len(self._channels) >= _CHANNELS:
            return self._refuse("subscribe: limit", 10305)
        channel = self._channels[symbol] = next(_channel_ids)
        named = {"subId": asked["subId"]} if "subId" in asked else {}
        self._say({"event": "subscribed", "channel": "candles", "chanId": channel, "key": key} | named)
        self._send(channel, f"[{','.join(map(candle, self._snapshot(symbol)))}]")
        self._feed.watch(symbol, self)

    def _snapshot(self, symbol: Symbol) -> list[Row]:
        """Newest first."""
        now_ms = self._world.clock.now_ms()
        last = now_ms // MINUTE_MS
        rows = self._world.market.rows(symbol, last - _SNAPSHOT_MINUTES + 1, last, now_ms, newest=True)
        return [row for row in rows if row is not None]

    def _unsubscribe(self, asked: dict[str, Any]) -> None:
        channel = asked.get("chanId")
        for symbol, number in self._channels.items():
            if number == channel:
                del self._channels[symbol]
                self._feed.leave(symbol, self)
                return self._say({"event": "unsubscribed", "status": "OK", "chanId": channel})
        self._refuse("unsubscribe: invalid", 10401, {"chanId": channel})

    def _send(self, channel: int, payload: str) -> None:
        tail = ""
        if self._flags & _SEQ_ALL:
            self._sequence += 1
            tail = f",{self._sequence}"
        if self._flags & _TIMESTAMP:
            tail += f",{self._world.clock.now_ms()}"
        self.outbox.put(f"[{channel},{payload}{tail}]")

    def _refuse(self, words: str, code: int, told: dict[str, Any] | None = None) -> None:
        self._say({**(told or {}), "event": "error", "msg": words, "code": code})

    def _say(self, event: object) -> None:
        self.outbox.put(msgspec.json.encode(event).decode())
