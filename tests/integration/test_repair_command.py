"""`candlehouse repair` and `candlehouse verify`, as people and programs call them."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import typer
from redis.asyncio import Redis

from app.stores.errors import FetchError
from celery_app import slices
from common.span import MINUTE_MS, Span
from scripts import cli
from tests.fixtures.instance import Instance, open_instance
from tests.fixtures.postgres import execute
from tests.fixtures.simulator import Simulator, simulator
from tests.fixtures.workers import environment

__all__ = ["simulator"]

Said = tuple[int, str, str]
BINANCE = ["--exchange", "binance", "--symbols", "BTC/USDT"]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def call(*arguments: str) -> Said:
        with pytest.raises(SystemExit) as ended:
            cli.run(typer.main.get_command(cli.app), list(arguments))
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
async def filled(
    simulator: Simulator, postgres_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Instance, Span]]:
    """An hour of a market, of which ten more minutes were wanted."""
    for name, value in environment(simulator, postgres_url, redis_url, tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    async with open_instance(simulator, postgres_url, redis_url) as instance:
        (market,) = await instance.know("binance", "BTC/USDT")
        end_ms = instance.resources.clock.now_ms() // MINUTE_MS * MINUTE_MS - 600 * MINUTE_MS
        span = Span(end_ms - 60 * MINUTE_MS, end_ms)
        await instance.fill([market], span)
        await instance.resources.stores.coverage.want({market.id: Span(end_ms, end_ms + 10 * MINUTE_MS)})
        await instance.resources.stores.db.close()
        yield instance, span


def test_verify_is_content_with_the_truth(filled: tuple[Instance, Span], say: Callable[..., Said]) -> None:
    status, out, err = say("verify", *BINANCE, "--sample", "3", "--seed", "7")
    assert (status, out, err) == (0, "Verified 3 ranges, 180 minutes: 0 differ (--seed 7).\n", "")


def test_verify_shows_what_differs_and_repairs_when_told(
    filled: tuple[Instance, Span], say: Callable[..., Said], postgres_url: str
) -> None:
    execute(postgres_url, "UPDATE candles SET close = 1 WHERE time = (SELECT min(time) FROM candles)")
    execute(postgres_url, "DELETE FROM candles WHERE time = (SELECT max(time) FROM candles)")
    status, out, _ = say("verify", *BINANCE, "--sample", "1", "--seed", "1")
    wrong, lost, last = out.splitlines()
    assert (status, last) == (1, "Verified 1 range, 60 minutes: 2 differ (--seed 1).")
    assert " 1.0 " in wrong.split("theirs")[0] and " 1.0 " not in wrong.split("theirs")[1]
    assert "ours none  theirs" in lost
    status, out, _ = say("verify", *BINANCE, "--sample", "1", "--json", "--repair")
    (one,) = json.loads(out)["ranges"]
    assert (status, one["market"], one["refused"]) == (1, "binance:spot:BTC/USDT", None)
    assert [(each["time"], each["ours"] and each["ours"]["close"]) for each in one["differences"]] == [
        (one["start"], 1.0),
        (one["end"] - MINUTE_MS, None),
    ]
    assert say("verify", *BINANCE, "--sample", "1")[0] == 0


def test_repair_plans_gaps_asks_for_what_looks_lost_and_can_only_tell(
    filled: tuple[Instance, Span], say: Callable[..., Said], postgres_url: str
) -> None:
    execute(
        postgres_url, "DELETE FROM candles WHERE time > (SELECT min(time) + interval '50 minutes' FROM candles)"
    )
    gap = "binance: 10 minutes of 1 market never answered for"
    lost = "binance: 9 minutes of 1 market answered for without a candle"
    assert say("repair", *BINANCE, "--dry-run") == (0, f"{gap}.\n{lost}.\n", "")
    assert say("repair", *BINANCE, "--dry-run")[1] == f"{gap}.\n{lost}.\n", "telling changed something"
    said = say("repair", *BINANCE, "--detach")
    assert said == (0, f"{gap}, job 2.\n{lost}; asked again, 9 candles came.\n", "")
    assert say("repair", "--detach")[1] == f"{gap}, which unfinished jobs ask for already.\n"
    instance, span = filled
    status, out, _ = say("repair", *BINANCE, "--json")
    listed = {"market": "binance:spot:BTC/USDT", "start": span.end_ms, "end": span.end_ms + 10 * MINUTE_MS}
    told = {"exchange": "binance", "gaps": [listed], "absent": [], "job": None, "found": 0, "refused": []}
    assert (status, json.loads(out)) == (0, [told | {"outside": 0}])
    before = say("repair", *BINANCE, "--end", "2020-01-01")
    assert before == (0, "binance: nothing to repair.\n", "")
    assert len(instance.candle_requests()) == 2


MISTAKES = [
    (["verify"], "Say --exchange, one of "),
    (["verify", *BINANCE, "--sample", "0"], "--sample must be at least 1, and is 0."),
    (["verify", *BINANCE, "--end", "2015-01-01"], "Nothing of this was ever answered for, so there is nothing to"),
    (["verify", "--exchange", "bitfinex"], "No market of bitfinex is stored yet; `candlehouse fetch` begins."),
    (["repair", "--symbols", "BTC/USDT"], "Say --exchange, one of "),
    (["repair", *BINANCE, "--start", "soon"], "--start 'soon' is not a date; write "),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_a_mistake_is_answered_in_one_sentence(
    filled: tuple[Instance, Span], say: Callable[..., Said], arguments: list[str], sentence: str
) -> None:
    status, out, err = say(*arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(sentence)


async def test_beat_has_a_failed_page_asked_again_and_only_once_at_a_time(filled: tuple[Instance, Span]) -> None:
    instance, span = filled
    r, hole = instance.resources, Span(span.end_ms, span.end_ms + 5 * MINUTE_MS)
    failure = FetchError("binance", "BTCUSDT", hole, "Malformed", "said so", symbol_id=1)
    await r.stores.errors.record(failure, r.clock.now_ms() - 2 * MINUTE_MS)
    for _ in range(2):
        await slices.repair(r, "binance")
    async with Redis.from_url(r.settings.celery_broker_url) as broker:
        assert await broker.llen("binance_rest") == 1
    jobs = await r.stores.plan.unfinished("binance")
    assert [(job.id, job.span) for job in jobs] == [(2, hole)]
