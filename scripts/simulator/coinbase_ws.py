"""Coinbase Advanced Trade WebSocket, channels `market_trades` and `heartbeats`.

As https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels and a recording have
them. A late correction is not played, for a trade is what it is.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from common.span import MINUTE_MS
from scripts.simulator.feed import Feed, Progress, Update, next_look
from scripts.simulator.market import Symbol, Trade, trades
from scripts.simulator.sockets import Outbox, Sockets
from scripts.simulator.text import iso
from scripts.simulator.world import World

_SNAPSHOT_TRADES, _SNAPSHOT_MINUTES = 100, 600
_HEARTBEAT_S, _IDLE_MS, _GONE = 1, 90_000, 1001


def advance(world: World, symbol: Symbol, progress: Progress, now_ms: int) -> tuple[list[Update], int]:
    """The trades since the last turn; those that a silence holds back come after it."""
    updates = list[Update]()
    while not world.faults.find("coinbase", "silence"):
        row = world.market.row(symbol, progress.minute, now_ms)
        is_begun = progress.told is not None and progress.told.open_ms == progress.minute * MINUTE_MS
        told = progress.told.trades if progress.told and is_begun else 0
        if row is not None and row.trades > told:
            new = _trades(world, symbol, progress.minute)[told : row.trades]
            updates.append(Update(symbol, row, False, now_ms, new))
            progress.told = row
        if now_ms < (progress.minute + 1) * MINUTE_MS:
            break
        progress.minute, progress.told = progress.minute + 1, None
    return updates, next_look(symbol, now_ms)


def _trades(world: World, symbol: Symbol, minute: int) -> list[Trade]:
    return [] if world.market.quiet(symbol, minute) is not None else trades(symbol, minute)


def encode(update: Update) -> str:
    """The events; each connection puts its own sequence number before them."""
    minute = update.row.open_ms // MINUTE_MS
    first = update.row.trades - len(update.trades)
    numbered = [(minute, first + at, trade) for at, trade in enumerate(update.trades)]
    return _event("update", update.symbol, numbered[::-1])


def _event(kind: str, symbol: Symbol, newest_first: Sequence[tuple[int, int, Trade]]) -> str:
    told = ",".join(_trade(symbol, *one) for one in newest_first)
    return f'{{"type":"{kind}","trades":[{told}]}}'


def _trade(symbol: Symbol, minute: int, at: int, trade: Trade) -> str:
    decimals = (trade.price, symbol.price_decimals), (trade.amount, symbol.amount_decimals)
    price, size = (f"{number // 10**many}.{number % 10**many:0{many}d}" for number, many in decimals)
    side = "SELL" if trade.offset_ms & 1 else "BUY"
    return (
        f'{{"product_id":"{symbol.native}","trade_id":"{minute * 16 + at}","price":"{price}","size":"{size}",'
        f'"time":"{_moment(minute * MINUTE_MS + trade.offset_ms)}","side":"{side}"}}'
    )


def _moment(ms: int) -> str:
    return f"{iso(ms)[:-1]}.{ms % 1000:03d}Z"


def routes(world: World, sockets: Sockets, feed: Feed) -> list[BaseRoute]:
    """The one address."""

    async def endpoint(websocket: WebSocket) -> None:
        if await sockets.refuses(websocket):
            return
        connection = _Connection(world, sockets, feed)
        try:
            await sockets.converse(websocket, connection.outbox, connection.hear, [connection.beat])
        finally:
            connection.leave()

    return [WebSocketRoute(path, endpoint) for path in ("/coinbase", "/coinbase/")]


class _Connection:
    def __init__(self, world: World, sockets: Sockets, feed: Feed) -> None:
        self.outbox = Outbox()
        self._world = world
        self._sockets = sockets
        self._feed = feed
        self._symbols: dict[str, Symbol] = {}
        self._beats = False
        self._sequence = 0
        self._told_ms = world.clock.now_ms()

    async def beat(self) -> None:
        """A heartbeat a second to whoever wants it; whoever does not is hung up on when nothing is traded."""
        clock, counter = self._world.clock, 0
        while self._beats or clock.now_ms() - self._told_ms < _IDLE_MS:
            await clock.sleep(max(_HEARTBEAT_S, clock.rate / 20))
            counter += 1
            if self._beats and not self._sockets.is_silent(heartbeat=True):
                moment = f"{_moment(clock.now_ms())[:-1].replace('T', ' ')} +0000 UTC m=+{counter}.0"
                self._tell("heartbeats", f'{{"current_time":"{moment}","heartbeat_counter":{counter}}}')
        self.outbox.close(_GONE)

    def leave(self) -> None:
        for symbol in self._symbols.values():
            self._feed.leave(symbol, self)

    def deliver(self, symbol: Symbol, payload: str) -> None:
        self._tell("market_trades", payload)

    def hear(self, text: str) -> None:
        try:
            asked = msgspec.json.decode(text)
        except msgspec.DecodeError:
            asked = None
        kind = asked.get("type") if isinstance(asked, dict) else None
        if kind not in ("subscribe", "unsubscribe"):
            return self._refuse("Invalid request")
        if asked.get("channel") == "heartbeats":
            self._beats = kind == "subscribe"
        elif asked.get("channel") != "market_trades":
            return self._refuse("Invalid channel")
        else:
            self._change(kind, asked)
        self._confirm()

    def _change(self, kind: str, asked: dict[str, Any]) -> None:
        for product in map(str, asked.get("product_ids", [])):
            symbol = self._world.market.find("coinbase", product)
            if kind == "unsubscribe":
                if (left := self._symbols.pop(product, None)) is not None:
                    self._feed.leave(left, self)
            elif symbol is None or symbol.status != "TRADING":
                self._refuse(f"{product} is not a valid product")
            elif product not in self._symbols:
                self._symbols[product] = symbol
                newest = [*islice(self._newest(symbol), _SNAPSHOT_TRADES)]
                self._tell("market_trades", _event("snapshot", symbol, newest))
                self._feed.watch(symbol, self)

    def _newest(self, symbol: Symbol) -> Iterator[tuple[int, int, Trade]]:
        """The trades so far, newest first; not of more than some hours."""
        now_ms = self._world.clock.now_ms()
        last = now_ms // MINUTE_MS
        for minute in range(last, max(symbol.listed, last - _SNAPSHOT_MINUTES) - 1, -1):
            row = self._world.market.row(symbol, minute, now_ms)
            made = _trades(self._world, symbol, minute)[: row.trades if row else 0]
            yield from ((minute, at, made[at]) for at in reversed(range(len(made))))

    def _confirm(self) -> None:
        told: dict[str, list[str]] = {"heartbeats": ["heartbeats"]} if self._beats else {}
        if self._symbols:
            told["market_trades"] = list(self._symbols)
        self._tell("subscriptions", msgspec.json.encode({"subscriptions": told}).decode())

    def _tell(self, channel: str, event: str) -> None:
        self._told_ms = self._world.clock.now_ms()
        number, self._sequence = self._sequence, self._sequence + 1
        at, events = _moment(self._told_ms), f'"sequence_num":{number},"events":[{event}]'
        self.outbox.put(f'{{"channel":"{channel}","client_id":"","timestamp":"{at}",{events}}}')

    def _refuse(self, words: str) -> None:
        self.outbox.put(msgspec.json.encode({"type": "error", "message": words}).decode())
