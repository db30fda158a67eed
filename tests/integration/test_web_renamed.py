"""Whoever listens to a market is told of that one, and whoever asks by a name of the one that bears it now."""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace

from websockets.asyncio.client import ClientConnection

from app.stores.database import Database
from app.stores.symbols import SymbolStore
from common.market import Instrument
from common.span import MINUTE_MS
from tests.fixtures.web import BTC, NOW_MS, store
from tests.integration.test_web_live import LIMIT_S, MINUTE, SUBSCRIBE, Live, bar, hear, live, say, text_of

__all__ = ["live"]

RENAMED, LATER = replace(BTC, base="XBT"), replace(BTC, native="BTC2USDT")


async def test_a_board_goes_on_with_its_market_and_a_name_used_again_has_another(
    live: Live, database: Database
) -> None:
    async with live.client() as before, live.client() as after:
        await live.stream(bar(MINUTE, 101))
        await say(before, SUBSCRIBE)
        assert await hear(before) == text_of(bar(MINUTE, 101))
        await SymbolStore(database).upsert("binance", [RENAMED, LATER], NOW_MS + 1)
        await live.stream(bar(MINUTE, 102), market=RENAMED)
        assert await hear(before) == text_of(bar(MINUTE, 102))
        await live.stream(bar(MINUTE, 7), market=LATER)
        await live.stream(bar(MINUTE - MINUTE_MS, 104), market=BTC)
        await say(after, SUBSCRIBE)
        assert await hear(after) == text_of(bar(MINUTE, 7))
        await live.stream(bar(MINUTE, 105), market=BTC)  # its stream has not learned of the name yet
        await live.stream(bar(MINUTE, 103), market=RENAMED)
        await live.stream(bar(MINUTE, 8), market=LATER)
        assert [await hear(before), await hear(after)] == [text_of(bar(MINUTE, 103)), text_of(bar(MINUTE, 8))]
        await say(before, SUBSCRIBE)
        assert await hear(before) == text_of(bar(MINUTE, 8))
        await live.stream(bar(MINUTE, 104), market=RENAMED)
        await live.stream(bar(MINUTE, 9), market=LATER)
        assert await hear(before) == text_of(bar(MINUTE, 9)), "the name is told of once, as it is asked for"


async def test_a_board_of_a_renamed_market_is_read_again_at_once(live: Live, database: Database) -> None:
    """Its history may have been joined with another's."""
    before = bar(MINUTE - MINUTE_MS, 99)
    async with live.client() as socket:
        await live.stream(bar(MINUTE, 101))
        await say(socket, SUBSCRIBE | {"interval": "1h"})
        first = json.loads(await hear(socket))
        await store(database, BTC, [before])
        await SymbolStore(database).upsert("binance", [RENAMED], NOW_MS + 1)
        told = json.loads(await hear(socket))
    assert (first["volume"], told["volume"], told["low"]) == (1.5, 3.0, 99.0)


async def test_a_board_goes_on_when_the_exchange_calls_its_market_otherwise(
    live: Live, database: Database
) -> None:
    async with live.client() as socket:
        await live.stream(bar(MINUTE, 101))
        await say(socket, SUBSCRIBE)
        assert await hear(socket) == text_of(bar(MINUTE, 101))
        dashed = replace(BTC, native="BTC-USDT")
        await SymbolStore(database).upsert("binance", [dashed], NOW_MS + 1)
        async with asyncio.timeout(LIMIT_S):
            while not (said := await heard_soon(live, socket, dashed)):
                pass
        assert said == text_of(bar(MINUTE, 102))


async def heard_soon(live: Live, socket: ClientConnection, market: Instrument) -> str:
    """What comes within a moment of a candle of `market`; nothing until the web has learned of the name."""
    await live.stream(bar(MINUTE, 102), market=market)
    with suppress(TimeoutError):
        return str(await asyncio.wait_for(socket.recv(), 0.2))
    return ""
