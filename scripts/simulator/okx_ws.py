"""OKX's business WebSocket as https://www.okx.com/docs-v5/en/ (overview, WebSocket) and its wire describe it."""

from itertools import count
from typing import Any

import msgspec
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from scripts.simulator.feed import Feed, Update, closes_once
from scripts.simulator.market import Symbol
from scripts.simulator.okx_rest import candle
from scripts.simulator.sockets import Outbox, Sockets
from scripts.simulator.world import World

#: How late a closing message comes is not documented.
_LATEST_CLOSE_MS = 1000

#: A connection on which nothing was said from either side for so long is closed, with this code.
_IDLE_S, _NO_DATA = 30, 4004

_CHANNEL = "candle1m"

FAREWELL = (
    '{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. '
    'Please reconnect.","connId":"a4d3ae55"}'
)

_numbers = count(0xA4D3AE55)

advance = closes_once(_LATEST_CLOSE_MS)


def encode(update: Update) -> str:
    """The whole message, the same for everybody."""
    arg = f'{{"channel":"{_CHANNEL}","instId":"{update.symbol.native}"}}'
    return f'{{"arg":{arg},"data":[{candle(update.row, confirmed=update.closed)}]}}'


def routes(world: World, sockets: Sockets, feed: Feed) -> list[BaseRoute]:
    """The one address of candles."""
    sockets.farewell = FAREWELL

    async def endpoint(websocket: WebSocket) -> None:
        if await sockets.refuses(websocket):
            return
        connection = _Connection(world, sockets, feed)
        try:
            await sockets.converse(websocket, connection.outbox, connection.hear, [connection.watch])
        finally:
            connection.leave()

    return [WebSocketRoute("/okx/ws/v5/business", endpoint)]


class _Connection:
    def __init__(self, world: World, sockets: Sockets, feed: Feed) -> None:
        self.outbox = Outbox()
        self._world = world
        self._sockets = sockets
        self._feed = feed
        self._watched: set[Symbol] = set()
        self._last_ms = world.clock.now_ms()
        self._id = f"{next(_numbers):08x}"

    async def watch(self) -> None:
        """Close what has fallen silent."""
        while self._world.clock.now_ms() - self._last_ms < _IDLE_S * 1000:
            await self._world.clock.sleep(_IDLE_S / 10)
        self.outbox.close(_NO_DATA)

    def leave(self) -> None:
        for symbol in self._watched:
            self._feed.leave(symbol, self)

    def deliver(self, symbol: Symbol, payload: str) -> None:
        self._send(payload)

    def hear(self, text: str) -> None:
        self._last_ms = self._world.clock.now_ms()
        if text == "ping":
            if not self._sockets.is_silent(heartbeat=True):
                self._send("pong")
            return
        try:
            asked = msgspec.json.decode(text)
        except msgspec.DecodeError:
            asked = None
        op = asked.get("op") if isinstance(asked, dict) else None
        if not isinstance(asked, dict) or op not in ("subscribe", "unsubscribe"):
            return self._say({"event": "error", "code": "60012", "msg": f"Illegal request: {text}"})
        for arg in asked.get("args") or []:
            self._obey(op, arg if isinstance(arg, dict) else {})

    def _obey(self, op: str, arg: dict[str, Any]) -> None:
        """Each market by itself."""
        symbol = self._world.market.find("okx", str(arg.get("instId", "")))
        if arg.get("channel") != _CHANNEL or symbol is None or symbol.status != "TRADING":
            what = f"channel:{arg.get('channel')},instId:{arg.get('instId')}"
            words = (
                f"{op.capitalize()} failed, wrong URL or {what} doesn't exist. Please use the correct URL, channel"
            )
            rest = " and parameters referring to API document."
            return self._say({"event": "error", "msg": words + rest, "code": "60018"})
        self._say({"event": op, "arg": arg})
        if op == "subscribe":
            self._watched.add(symbol)
            self._feed.watch(symbol, self)
        else:
            self._watched.discard(symbol)
            self._feed.leave(symbol, self)

    def _say(self, event: dict[str, Any]) -> None:
        self._send(msgspec.json.encode(event | {"connId": self._id}).decode())

    def _send(self, text: str) -> None:
        self._last_ms = self._world.clock.now_ms()
        self.outbox.put(text)
