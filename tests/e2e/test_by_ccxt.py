"""An exchange that ccxt alone knows, through the printed commands and their real processes."""

from pathlib import Path

from redis.asyncio import Redis

from common.span import DAY_MS, MINUTE_MS, Span
from tests.e2e.test_workers import stored
from tests.fixtures.feed import told
from tests.fixtures.kucoin import running_kucoin, truth
from tests.fixtures.live import eventually
from tests.fixtures.simulator import Simulator, simulator
from tests.fixtures.workers import BIN, environment, program, rest, worker

__all__ = ["simulator"]


async def test_an_exchange_that_ccxt_alone_knows_is_streamed_by_the_printed_command(
    simulator: Simulator, postgres_url: str, redis_url: str, redis_client: Redis, tmp_path: Path
) -> None:
    with running_kucoin(simulator.clock) as kucoin:
        env = environment(simulator, postgres_url, redis_url, tmp_path, EXCHANGES="ccxt:kucoin", **kucoin.urls)
        command = (str(BIN / "candlehouse"), "stream", "--exchange", "ccxt:kucoin")

        async def both_told() -> bool:
            return len({one.key for one in await told(redis_client, "live_kucoin")}) == 2

        async with program(env, tmp_path / "stream.log", *command):
            await eventually(both_told)
        heard = await told(redis_client, "live_kucoin")
    assert sorted(kucoin.subscribed) == ["/market/candles:BTC-USDT_1min", "/market/candles:ETH-USDT_1min"]
    for one in heard:
        told_row = [one.time, one.open, one.high, one.low, one.close, one.volume]
        assert [told_row] == truth(f"{one.base}-{one.quote}", one.time, one.time + MINUTE_MS)


A_DAY = ("--start", "2026-09-12T00:00:00", "--end", "2026-09-13T00:00:00")
DAY = Span(1_789_171_200_000, 1_789_171_200_000 + DAY_MS)


async def test_history_of_an_exchange_that_ccxt_alone_knows_is_fetched_by_the_printed_command(
    simulator: Simulator, postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    with running_kucoin(simulator.clock) as kucoin:
        more = {"EXCHANGES": "binance,ccxt:kucoin", **kucoin.urls}
        env = environment(simulator, postgres_url, redis_url, tmp_path, **more)
        async with worker(env, tmp_path / "worker.log", "kucoin"):
            command = ("fetch", "--exchange", "ccxt:kucoin", *A_DAY, "--symbols", "BTC/USDT,ethusdt")
            done = await rest(env, *command)
            assert (done.status, done.errors) == (0, "") and "Complete: 2 markets of kucoin" in done.output
            for base in ("BTC", "ETH"):
                assert await stored(postgres_url, "kucoin", base) == truth(f"{base}-USDT", *DAY)
            asked = [*kucoin.asked]
            again = await rest(env, *command)
            assert again.status == 0 and "Already complete" in again.output
            assert kucoin.asked == asked
    pages = [one for one in asked if "candles" in one]
    assert len(pages) == 2, "a day is one page"
