"""Kraken WebSocket v2, channel `ohlc`, as https://docs.kraken.com/api/docs/websocket-v2/ohlc describes it."""

from typing import Any

import msgspec
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from common.span import MINUTE_MS
from scripts.simulator.feed import Feed, Progress, Update, corrections, final, next_look
from scripts.simulator.kraken_rest import v2_name
from scripts.simulator.market import Row, Symbol
from scripts.simulator.sockets import Outbox, Sockets
from scripts.simulator.text import iso, javascript
from scripts.simulator.world import World

_SNAPSHOT_MINUTES, _HEARTBEAT_S = 60, 1


def advance(world: World, symbol: Symbol, progress: Progress, now_ms: int) -> tuple[list[Update], int]:
    """The running candle when it changed; quiet minutes are not told."""
    rows = corrections(progress, now_ms)
    while now_ms >= (progress.minute + 1) * MINUTE_MS:
        last = final(world, symbol, progress, now_ms)
        if last is not None and last.trades and last != progress.told:
            rows.append(last)
        progress.minute, progress.told = progress.minute + 1, None
    row = world.market.row(symbol, progress.minute, now_ms)
    if row is not None and row.trades and row != progress.told:
        progress.told = row
        rows.append(row)
    return [Update(symbol, row, False, now_ms) for row in rows], next_look(symbol, now_ms)


def encode(update: Update) -> str:
    """The whole frame: each connection is told the same."""
    return _frame("update", update.symbol, [update.row], update.at_ms)


def _frame(kind: str, symbol: Symbol, rows: list[Row], at_ms: int) -> str:
    data = ",".join(_candle(symbol, row) for row in rows)
    return f'{{"channel":"ohlc","type":"{kind}","timestamp":"{_nanoseconds(at_ms)}","data":[{data}]}}'


def _candle(symbol: Symbol, row: Row) -> str:
    average = round(row.quote_volume / row.volume, symbol.price_decimals) if row.volume else 0.0
    names = ("open", "high", "low", "close", "volume", "vwap")
    numbers = (row.open, row.high, row.low, row.close, row.volume, average)
    values = ",".join(f'"{name}":{javascript(number)}' for name, number in zip(names, numbers, strict=True))
    return (
        f'{{"symbol":"{v2_name(symbol)}",{values},"trades":{row.trades},'
        f'"interval_begin":"{_nanoseconds(row.open_ms)}","interval":1,'
        f'"timestamp":"{iso(row.open_ms + MINUTE_MS)[:-1]}.000000Z"}}'
    )


def _nanoseconds(ms: int) -> str:
    return f"{iso(ms)[:-1]}.{ms % 1000:03d}000000Z"


def _status(system: str) -> str:
    told = {"version": "2.0.8", "system": system, "api_version": "v2", "connection_id": 13834774380200032777}
    return msgspec.json.encode({"channel": "status", "type": "update", "data": [told]}).decode()


def routes(world: World, sockets: Sockets, feed: Feed) -> list[BaseRoute]:
    """The one address."""
    sockets.maintenance = _status("maintenance"), _status("online")

    async def endpoint(websocket: WebSocket) -> None:
        connection = _Connection(world, sockets, feed)
        try:
            await sockets.converse(websocket, connection.outbox, connection.hear, [connection.beat])
        finally:
            connection.leave()

    return [WebSocketRoute("/kraken/v2", endpoint)]


class _Connection:
    def __init__(self, world: World, sockets: Sockets, feed: Feed) -> None:
        self.outbox = Outbox()
        self._world = world
        self._sockets = sockets
        self._feed = feed
        self._symbols: set[Symbol] = set()
        is_away = world.faults.find("kraken", "maintenance")
        self.outbox.put(_status("maintenance" if is_away else "online"))

    async def beat(self) -> None:
        """A heartbeat a second."""
        clock = self._world.clock
        while True:
            await clock.sleep(max(_HEARTBEAT_S, clock.rate / 20))
            if self._symbols and not self._sockets.is_silent(heartbeat=True):
                self.outbox.put('{"channel":"heartbeat"}')

    def leave(self) -> None:
        for symbol in self._symbols:
            self._feed.leave(symbol, self)

    def deliver(self, symbol: Symbol, payload: str) -> None:
        self.outbox.put(payload)

    def hear(self, text: str) -> None:
        try:
            asked = msgspec.json.decode(text)
        except msgspec.DecodeError:
            asked = None
        method = asked.get("method") if isinstance(asked, dict) else None
        if method == "ping":
            self._say({"method": "pong"}, asked)
        elif method in ("subscribe", "unsubscribe"):
            self._obey(asked)
        else:
            self.outbox.put('{"error":"Malformed request","success":false}')

    def _obey(self, asked: dict[str, Any]) -> None:
        """Each symbol is answered by itself."""
        method, params = asked["method"], asked.get("params") or {}
        if params.get("channel") != "ohlc" or params.get("interval") != 1:
            told = {"method": method, "success": False, "error": "Subscription ohlc interval not supported"}
            return self._say(told, asked)
        known = {v2_name(symbol): symbol for symbol in self._world.market.symbols("kraken")}
        for name in params.get("symbol", []):
            if (symbol := known.get(name)) is None:
                error = f"Currency pair not supported {name}"
                self._say({"method": method, "success": False, "error": error, "symbol": name}, asked)
            elif method == "unsubscribe":
                self._symbols.discard(symbol)
                self._feed.leave(symbol, self)
                self._say({"method": method, "success": True, "result": _named(name)}, asked)
            else:
                self._say({"method": method, "success": True, "result": _named(name) | {"warnings": []}}, asked)
                self._subscribe(symbol, told=params.get("snapshot", True))

    def _subscribe(self, symbol: Symbol, *, told: bool) -> None:
        self._symbols.add(symbol)
        if symbol.status != "TRADING":
            return
        now_ms = self._world.clock.now_ms()
        last = now_ms // MINUTE_MS
        rows = self._world.market.rows(symbol, last - _SNAPSHOT_MINUTES + 1, last, now_ms, newest=False)
        if told:
            self.outbox.put(_frame("snapshot", symbol, [row for row in rows if row and row.trades], now_ms))
        self._feed.watch(symbol, self)

    def _say(self, answer: dict[str, Any], asked: dict[str, Any]) -> None:
        at = _nanoseconds(self._world.clock.now_ms())
        number = {"req_id": asked["req_id"]} if "req_id" in asked else {}
        self.outbox.put(msgspec.json.encode({**answer, **number, "time_in": at, "time_out": at}).decode())


def _named(name: str) -> dict[str, Any]:
    return {"channel": "ohlc", "symbol": name, "interval": 1, "snapshot": True}
