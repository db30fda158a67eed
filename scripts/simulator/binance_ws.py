"""Binance market streams, as web-socket-streams.md of github.com/binance/binance-spot-api-docs describes them."""

from typing import Any

import msgspec
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from common.span import MINUTE_MS
from scripts.simulator.feed import Feed, Update, closes_once
from scripts.simulator.market import Symbol
from scripts.simulator.sockets import POLICY, Outbox, Sockets
from scripts.simulator.text import fixed8
from scripts.simulator.world import World

#: The closing message was seen up to 2.4 s after the minute.
_LATEST_CLOSE_MS = 2400

_STREAMS, _MESSAGES_PER_SECOND, _LIFE_S = 1024, 5, 86_400

#: As it stands in `ws` streams; the time is the announcement's, which nobody reads.
SHUTDOWN = '{"e":"serverShutdown","E":1770123456789}'

_METHODS = "SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY"


advance = closes_once(_LATEST_CLOSE_MS)


def encode(update: Update) -> str:
    """The event without its wrapper."""
    symbol, row, closed, at_ms, _ = update
    first = row.open_ms // MINUTE_MS * 16 if row.trades else -1
    last = first + row.trades - 1 if row.trades else -1
    end_ms = row.open_ms + MINUTE_MS - 1
    return (
        f'{{"e":"kline","E":{at_ms},"s":"{symbol.native}","k":{{"t":{row.open_ms},"T":{end_ms},'
        f'"s":"{symbol.native}","i":"1m","f":{first},"L":{last},"o":"{fixed8(row.open)}","c":"{fixed8(row.close)}",'
        f'"h":"{fixed8(row.high)}","l":"{fixed8(row.low)}","v":"{fixed8(row.volume)}","n":{row.trades},'
        f'"x":{"true" if closed else "false"},"q":"{fixed8(row.quote_volume)}","V":"{fixed8(row.taker_volume)}",'
        f'"Q":"{fixed8(row.taker_quote_volume)}","B":"0"}}}}'
    )


def routes(world: World, sockets: Sockets, feed: Feed) -> list[BaseRoute]:
    """/ws unwrapped, /stream wrapped; what follows /ws/ may be streams or any word."""
    sockets.announcement = SHUTDOWN

    async def endpoint(websocket: WebSocket) -> None:
        if await sockets.refuses(websocket):
            return
        combined = websocket.url.path.endswith("/stream")
        names = websocket.query_params.get("streams") if combined else websocket.path_params.get("names")
        connection = _Connection(world, feed, combined=combined)
        connection.subscribe([name for name in (names or "").split("/") if "@" in name])
        try:
            await sockets.converse(websocket, connection.outbox, connection.hear, [connection.live])
        finally:
            connection.leave()

    paths = ("/binance/ws", "/binance/ws/{names:path}", "/binance/stream")
    return [WebSocketRoute(path, endpoint) for path in paths]


class _Connection:
    def __init__(self, world: World, feed: Feed, *, combined: bool) -> None:
        self.outbox = Outbox()
        self._world = world
        self._feed = feed
        self._combined = combined
        self._streams: dict[str, Symbol | None] = {}
        self._heard: list[int] = []

    async def live(self) -> None:
        """No connection lasts longer than a day."""
        await self._world.clock.sleep(_LIFE_S)
        self.outbox.close(POLICY)

    def leave(self) -> None:
        self.unsubscribe(list(self._streams))

    def deliver(self, symbol: Symbol, payload: str) -> None:
        if self._combined:
            payload = f'{{"stream":"{symbol.native.lower()}@kline_1m","data":{payload}}}'
        self.outbox.put(payload)

    def hear(self, text: str) -> None:
        if self._is_talkative():
            return self.outbox.close(POLICY)
        try:
            asked = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            return self._say({"code": 3, "msg": f"Invalid JSON: {error}"})
        if not isinstance(asked, dict):
            return self._say({"code": 2, "msg": "Invalid request: expected an object"})
        self._obey(asked.get("method"), asked.get("params") or [], asked.get("id"))

    def _obey(self, method: Any, params: list[Any], number: Any) -> None:
        result: object = None
        if method == "SUBSCRIBE":
            self.subscribe([str(name) for name in params])
        elif method == "UNSUBSCRIBE":
            self.unsubscribe([str(name) for name in params])
        elif method == "LIST_SUBSCRIPTIONS":
            result = list(self._streams)
        elif method == "SET_PROPERTY" and params[:1] == ["combined"]:
            self._combined = bool(params[-1])
        elif method == "GET_PROPERTY":
            result = self._combined
        else:
            words = f"Invalid request: unknown variant `{method}`, expected one of {_METHODS}"
            return self._say({"code": 2, "msg": words, "id": number})
        self._say({"result": result, "id": number})

    def subscribe(self, names: list[str]) -> None:
        """A stream nobody knows is accepted and stays silent."""
        for name in names:
            market, _, kind = name.partition("@")
            symbol = self._world.market.find("binance", market.upper()) if market == market.lower() else None
            self._streams[name] = symbol if kind == "kline_1m" else None
            if (watched := self._streams[name]) is not None and watched.status == "TRADING":
                self._feed.watch(watched, self)
        if len(self._streams) > _STREAMS:
            self.outbox.close(POLICY)

    def unsubscribe(self, names: list[str]) -> None:
        for name in names:
            if (symbol := self._streams.pop(name, None)) is not None:
                self._feed.leave(symbol, self)

    def _is_talkative(self) -> bool:
        now_ms = self._world.clock.now_ms()
        self._heard = [*(then for then in self._heard if then > now_ms - 1000), now_ms]
        return self._world.limits.enforced and len(self._heard) > _MESSAGES_PER_SECOND

    def _say(self, answer: object) -> None:
        self.outbox.put(msgspec.json.encode(answer).decode())
