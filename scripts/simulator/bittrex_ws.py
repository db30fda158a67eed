"""Bittrex v3's socket: ASP.NET SignalR 1.5, hub `c3`, candles as raw deflate in base64."""

import zlib
from base64 import b64encode
from collections.abc import Callable
from hashlib import blake2b
from itertools import count

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from common.span import MINUTE_MS
from scripts.simulator.bittrex_rest import candle
from scripts.simulator.bittrex_sequence import Sequences
from scripts.simulator.feed import Feed, Progress, Update, corrections, final, lateness, next_look
from scripts.simulator.market import Row, Symbol
from scripts.simulator.rest import json, route
from scripts.simulator.sockets import Outbox, Sockets
from scripts.simulator.world import World

_KEEP_ALIVE_S, _HEARTBEAT_S = 10, 5

#: A minute's placeholder was seen 0.3 to 2.3 s after its start.
_PLACEHOLDER_MS, _PLACEHOLDER_SPREAD_MS = 300, 2000


def advance(world: World, symbol: Symbol, progress: Progress, now_ms: int) -> tuple[list[Update], int]:
    """A zero-volume placeholder with the previous close as each minute starts, and the candle when it changed."""
    rows = corrections(progress, now_ms)
    while now_ms >= (start_ms := _placeholder_ms(symbol, progress.minute + 1)):
        last = final(world, symbol, progress, now_ms)
        if last is not None and last != progress.told:
            rows.append(last)
        progress.minute += 1
        progress.told = _placeholder(last, progress.minute) if last else None
        rows += [progress.told] if progress.told else []
    row = world.market.row(symbol, progress.minute, now_ms)
    if row is not None and row != progress.told:
        progress.told = row
        rows.append(row)
    return [Update(symbol, row, False, now_ms) for row in rows], min(next_look(symbol, now_ms), start_ms)


def _placeholder_ms(symbol: Symbol, minute: int) -> int:
    return minute * MINUTE_MS + _PLACEHOLDER_MS + lateness(symbol, minute, _PLACEHOLDER_SPREAD_MS)


def _placeholder(last: Row, minute: int) -> Row:
    return Row(minute * MINUTE_MS, last.close, last.close, last.close, last.close, 0.0, 0.0, 0, 0.0, 0.0)


def encoder(sequences: Sequences) -> Callable[[Update], str]:
    """Candle messages, numbered as they are sent."""

    def encode(update: Update) -> str:
        name = update.symbol.native
        message = (
            f'{{"sequence":{sequences.following(name)},"marketSymbol":"{name}","interval":"MINUTE_1",'
            f'"delta":{candle(update.row)},"candleType":"TRADE"}}'
        )
        packer = zlib.compressobj(wbits=-15)
        return b64encode(packer.compress(message.encode()) + packer.flush()).decode()

    return encode


def routes(world: World, sockets: Sockets, feed: Feed) -> list[BaseRoute]:
    """Negotiate, connect, and the start that some clients never send."""
    tokens: dict[str, int] = {}
    numbers = count(1)

    async def negotiate(world: World, request: Request) -> Response:
        number = next(numbers)
        # The token holds / + and = so that a client must encode it.
        token = f"lT/sa+{b64encode(blake2b(str(number).encode(), digest_size=32).digest()).decode()}"
        tokens[token] = number
        return json(_negotiated(token, number))

    async def start(world: World, request: Request) -> Response:
        return json({"Response": "started"})

    async def connect(websocket: WebSocket) -> None:
        if await sockets.refuses(websocket):
            return
        if websocket.query_params.get("connectionToken") not in tokens:
            return await websocket.close()
        connection = _Connection(world, sockets, feed)
        try:
            await sockets.converse(
                websocket, connection.outbox, connection.hear, [connection.keep_alive, connection.heartbeat]
            )
        finally:
            connection.leave()

    return [
        route(world, "bittrex", "/bittrex/signalr/negotiate", negotiate),
        route(world, "bittrex", "/bittrex/signalr/start", start),
        WebSocketRoute("/bittrex/signalr/connect", connect),
    ]


def _negotiated(token: str, number: int) -> dict[str, object]:
    return {
        "Url": "/signalr/v1.1/signalr",
        "ConnectionToken": token,
        "ConnectionId": f"a2afb0f7-346f-4f32-b7c7-{number:012x}",
        "KeepAliveTimeout": 20,
        "DisconnectTimeout": 30,
        "ConnectionTimeout": 110,
        "TryWebSockets": True,
        "ProtocolVersion": "1.5",
        "TransportConnectTimeout": 5,
        "LongPollDelay": 0,
    }


class _Connection:
    def __init__(self, world: World, sockets: Sockets, feed: Feed) -> None:
        self.outbox = Outbox()
        self._world = world
        self._sockets = sockets
        self._feed = feed
        self._watched: set[Symbol] = set()
        self._wants_heartbeat = False
        self._cursor = count(1)
        self._say({"C": self._next_cursor(), "S": 1, "M": []})

    async def keep_alive(self) -> None:
        while True:
            await self._world.clock.sleep(_KEEP_ALIVE_S)
            if not self._sockets.is_silent(heartbeat=True):
                self.outbox.put("{}")

    async def heartbeat(self) -> None:
        while True:
            await self._world.clock.sleep(_HEARTBEAT_S)
            if self._wants_heartbeat and not self._sockets.is_silent(heartbeat=True):
                self._say({"C": self._next_cursor(), "M": [{"H": "C3", "M": "heartbeat", "A": []}]})

    def leave(self) -> None:
        for symbol in self._watched:
            self._feed.leave(symbol, self)

    def deliver(self, symbol: Symbol, payload: str) -> None:
        self.outbox.put(f'{{"C":"{self._next_cursor()}","M":[{{"H":"C3","M":"candle","A":["{payload}"]}}]}}')

    def hear(self, text: str) -> None:
        try:
            asked = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return
        if not isinstance(asked, dict) or str(asked.get("H", "")).lower() != "c3":
            return
        number, method, names = str(asked.get("I", "")), asked.get("M"), (asked.get("A") or [[]])[0]
        if method not in ("Subscribe", "Unsubscribe") or not isinstance(names, list):
            return self._say({"I": number, "E": f"'{method}' method could not be resolved."})
        self._say({"R": [self._obey(str(name), wanted=method == "Subscribe") for name in names], "I": number})
        self._say({"C": self._next_cursor(), "G": "xN9zD1aEJ8/groups", "M": []})

    def _obey(self, channel: str, *, wanted: bool) -> dict[str, object]:
        if channel == "heartbeat":
            self._wants_heartbeat = wanted
            return {"Success": True, "ErrorCode": None}
        kind, _, rest = channel.partition("_")
        native, _, interval = rest.partition("_")
        symbol = self._world.market.find("bittrex", native.upper())
        if kind != "candle" or interval not in ("MINUTE_1", "TRADE_MINUTE_1") or symbol is None:
            return {"Success": False, "ErrorCode": "INVALID_CHANNEL" if symbol else "MARKET_DOES_NOT_EXIST"}
        if wanted:
            self._watched.add(symbol)
            self._feed.watch(symbol, self)
        else:
            self._watched.discard(symbol)
            self._feed.leave(symbol, self)
        return {"Success": True, "ErrorCode": None}

    def _next_cursor(self) -> str:
        return f"d-D56EFF76-B,0|nuz,0|nu0,{next(self._cursor):X}"

    def _say(self, message: object) -> None:
        self.outbox.put(msgspec.json.encode(message).decode())
