"""Tell those who watch live of closed candles that they know with other values, or only a part of."""

from collections.abc import Sequence

from app.messages import from_candle
from app.stores.candles import WriteResult
from app.stores.latest import LiveSink
from common.clock import Clock
from common.market import Candle

#: What the log says of candles that retention has no place for.
BEFORE_HORIZON = "Candles refused: minutes before a market's horizon are not kept any more"


async def announce(result: WriteResult, candles: Sequence[Candle], sink: LiveSink, clock: Clock) -> int:
    """Push those of one market's just written `candles` that `result` calls corrected; how many they were."""
    corrected = {open_ms for _, open_ms in result.corrected}
    messages = [
        from_candle(candle, clock.now_ms(), corrected=True) for candle in candles if candle.open_ms in corrected
    ]
    if messages:
        await sink.write(messages)
    return len(messages)
