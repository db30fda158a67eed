"""`fetch` and `resume` refuse a person's mistakes in one sentence with status 2, and change nothing."""

import asyncio
import json
from dataclasses import replace

import asyncpg
import pytest
import redis

from app.jobs.asked import time_text
from common.span import DAY_MS, MINUTE_MS, floor_minute
from fetchers import registry
from scripts.fetchers.rest import app
from tests.fixtures.command_line import CommandLine, candlehouse
from tests.fixtures.postgres import execute
from tests.fixtures.simulator import Simulator, simulator

__all__ = ["candlehouse", "simulator"]

KNOWN = registry.choices()
A_DAY = ["--start", "2026-09-12T00:00:00", "--end", "2026-09-13T00:00:00"]


@pytest.fixture
def rest(candlehouse: CommandLine, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """`python -m scripts.fetchers.rest …`."""
    return CommandLine(capsys, app)


def jobs(url: str) -> int:
    async def count() -> int:
        connection = await asyncpg.connect(url)
        try:
            found: int = await connection.fetchval("SELECT count(*) FROM fetch_jobs")
        finally:
            await connection.close()
        return found

    return asyncio.run(count())


MISTAKES = [
    (["fetch", *A_DAY], f"Say --exchange, one of {KNOWN}."),
    (["fetch", "--exchange", "mtgox", *A_DAY], f"Unknown exchange 'mtgox'; use one of {KNOWN}."),
    (["resume", "--exchange", "mtgox"], f"Unknown exchange 'mtgox'; use one of {KNOWN}."),
    (["fetch", "--exchange", "binance", "--end", "2026-09-13"], "Say --start YYYY-MM-DDTHH:MM:SS (UTC)."),
    (["fetch", "--exchange", "binance", "--start", "2026-09-13"], "Say --end YYYY-MM-DDTHH:MM:SS (UTC)."),
    (["fetch", "--exchange", "binance", "--start", "soon", "--end", "2026-09-13"], "--start 'soon' is not a date"),
    (["fetch", "--exchange", "binance", *A_DAY[2:], "--start", "2026-09-14"], "must be after"),
    (["fetch", "--exchange", "binance", *A_DAY[:2], "--end", "2126-01-01"], "is in the future"),
    (["fetch", "--exchange", "binance", *A_DAY[2:], "--start", "2008-01-01"], "is before 2009-01-03"),
    (["fetch", "--exchange", "binance", *A_DAY, "--symbols", "BTC/USTD"], "did you mean"),
    (["fetch", "--exchange", "binance", *A_DAY, "--symbols", " , "], "--symbols names no market"),
]


MISTAKES += [
    (["cancel"], "Say which: the number of a fetch, --exchange, or --all."),
    (["cancel", "7"], "There is no job 7."),
    (["cancel", "7", "--all"], "Say which"),
    (["fetch", "--exchange", "binance", *A_DAY, "BTC/USDT"], "belongs to no option"),
    (["fetch", "--exchange", "binance", *A_DAY, "-t", "5x"], "Unknown interval '5x'"),
    (["fetch", "--exchange", "binance", *A_DAY, "-p", "BTC/USDT", "--symbols", "BTC/USDT"], "which mean the same"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=[words for _, words in MISTAKES])
def test_a_mistake_is_one_sentence_and_status_2_and_plans_nothing(
    rest: CommandLine, postgres_url: str, arguments: list[str], words: str
) -> None:
    status, said = rest(*arguments)
    assert status == 2 and words in said and said.count("\n") == 1, said
    assert jobs(postgres_url) == 0


def test_symbols_that_select_nothing_of_the_exchange_are_a_mistake(
    rest: CommandLine, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYMBOLS", "bitfinex:*")
    status, said = rest("fetch", "--exchange", "binance", *A_DAY)
    assert (status, said) == (2, "SYMBOLS=bitfinex:* selects no market of binance; name some with --symbols.\n")
    assert jobs(postgres_url) == 0


@pytest.fixture
def short_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """REST serves the newest 720 minutes, as Kraken's does."""
    binance = registry.get("binance")
    monkeypatch.setattr(binance, "limits", replace(binance.limits, reach_minutes=720))


def test_what_an_exchange_does_not_serve_any_more_is_not_asked_for(
    rest: CommandLine, simulator: Simulator, postgres_url: str, short_reach: None
) -> None:
    now_ms = floor_minute(simulator.clock.now_ms())
    start, end = time_text(now_ms - 2 * DAY_MS), time_text(now_ms)
    wanted = (
        "fetch",
        "--exchange",
        "binance",
        "--start",
        start,
        "--end",
        end,
        "--symbols",
        "BTC/USDT",
        "--dry-run",
    )
    status, said = rest(*wanted)
    since = time_text(now_ms - 700 * MINUTE_MS)
    told = f"binance serves only its newest 720 minutes by REST: what is before {since} is not asked for."
    assert (status, said.splitlines()[0]) == (0, told)
    assert "at most 700 rows" in said
    status, said = rest("fetch", "--exchange", "binance", *A_DAY)
    assert (status, said.startswith("binance serves only its newest 720 minutes by REST: nothing")) == (2, True), (
        said
    )
    assert jobs(postgres_url) == 0


def test_a_market_outside_symbols_can_be_named(rest: CommandLine, postgres_url: str) -> None:
    status, said = rest("fetch", "--exchange", "bitfinex", *A_DAY, "--symbols", "tDUSK:USD", "--detach")
    assert status == 0 and "1 market of bitfinex" in said
    assert jobs(postgres_url) == 1


def test_a_dry_run_tells_what_would_be_asked_and_plans_nothing(
    rest: CommandLine, simulator: Simulator, postgres_url: str
) -> None:
    days = [
        "fetch",
        "--exchange",
        "binance",
        "--timerange",
        "20260908-20260913",
        "-p",
        "BTC/USDT",
        "ETH/USDT",
        "-t",
        "1m",
        "1h",
    ]
    status, said = rest(*days, "--dry-run", "--json")
    told, room, warned = said.splitlines()
    assert json.loads(room)["fits"] is None
    assert status == 0 and warned == "Minutes are fetched, and 1h made of them."
    fields = json.loads(told)
    assert {name: fields[name] for name in ("symbols", "pages", "rows", "weight", "eta_s")} == {
        "symbols": 2,
        "pages": 16,
        "rows": 2 * 5 * 1440,
        "weight": 32,
        "eta_s": 0,
    }
    assert jobs(postgres_url) == 0 and not [one for one in simulator.log() if "klines" in one["path"]]
    status, said = rest(*days, "--dry-run")
    assert "2 markets of binance: 16 pages with as many requests (weight 32), at most 14,400 rows" in said


def test_erasing_asks_first_and_then_everything_is_fetched_anew(rest: CommandLine, postgres_url: str) -> None:
    rest("fetch", "--exchange", "binance", *A_DAY, "--symbols", "BTC/USDT", "--detach")
    rest("cancel", "1")
    insert = "INSERT INTO ohlcvs VALUES ('2026-09-12 00:07+00', 'binance', 'BTC', 'USDT', 1, 1, 1, 1, 1)"
    execute(postgres_url, insert)
    again = ("fetch", "--exchange", "binance", *A_DAY, "-p", "btc/.*", "--erase")
    assert rest(*again) == (2, "Nothing was changed: say --yes where nobody can be asked.\n")
    assert rest(*again, "--dry-run")[0] == 2 and jobs(postgres_url) == 1
    begun = "Job 2 planned: 1 market of binance. `candlehouse status` shows how far it is.\n"
    assert rest(*again, "--yes", "--detach") == (0, f"Deleted 1 candle of 1 market of binance.\n{begun}")
    assert rest(*again, "--yes") == (
        2,
        "Job 2 asks for what is to be erased; wait for it, or: candlehouse cancel 2\n",
    )


def test_erasing_markets_of_which_a_job_asks_for_one_erases_none(rest: CommandLine, postgres_url: str) -> None:
    rest("fetch", "--exchange", "binance", *A_DAY, "--symbols", "ETH/USDT", "--detach")
    insert = "INSERT INTO ohlcvs VALUES ('2026-09-12 00:07+00', 'binance', 'BTC', 'USDT', 1, 1, 1, 1, 1)"
    execute(postgres_url, insert)
    erase = (
        "fetch",
        "--exchange",
        "binance",
        *A_DAY,
        "--symbols",
        "BTC/USDT,ETH/USDT",
        "--erase",
        "--yes",
        "--detach",
    )
    refused = "Job 1 asks for what is to be erased; wait for it, or: candlehouse cancel 1\n"
    assert rest(*erase) == (2, refused)
    rest("cancel", "1")
    assert rest(*erase)[1].startswith("Deleted 1 candle of 2 markets of binance.\nJob 2 planned")


def test_fetches_are_cancelled_by_number_by_exchange_or_all(rest: CommandLine, postgres_url: str) -> None:
    for exchange in ("binance", "bitfinex", "bittrex"):
        rest("fetch", "--exchange", exchange, *A_DAY, "--detach")
    assert rest("cancel", "2") == (0, "Job 2 of bitfinex is cancelled; what it stored stays.\n")
    assert rest("cancel", "2") == (2, "Job 2 is over already: cancelled.\n")
    assert rest("cancel", "--exchange", "binance")[1].startswith("Job 1 of binance is cancelled")
    assert rest("cancel", "--all")[1].startswith("Job 3 of bittrex is cancelled")
    assert rest("cancel", "--all") == (0, "Nothing to cancel: no job is unfinished.\n")


def test_a_closed_exchange_says_so(rest: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BITTREX_REST_URL")
    monkeypatch.delenv("BITTREX_WEIGHT_PER_MINUTE")
    monkeypatch.setenv("CLOCK_RATE", "1")
    status, said = rest("fetch", "--exchange", "bittrex", *A_DAY)
    assert status == 2 and "Bittrex closed on 4 December 2023" in said and said.count("\n") == 1


def test_an_exchange_that_cannot_be_reached_is_one_sentence_and_may_work_later(
    rest: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINANCE_REST_URL", "http://127.0.0.1:9/binance")
    status, said = rest("fetch", "--exchange", "binance", *A_DAY)
    assert status == 1 and said.count("\n") == 1 and "Traceback" not in said


def test_servers_that_are_not_there_are_one_sentence(rest: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://x:y@127.0.0.1:9/z")
    status, said = rest("resume", "--exchange", "binance")
    assert status == 1 and "PostgreSQL at 127.0.0.1:9 cannot be reached" in said and said.count("\n") == 1


def test_a_message_goes_to_its_exchanges_queue_alone(rest: CommandLine, redis_url: str) -> None:
    for exchange in ("bitfinex", "binance", "bitfinex"):
        rest("fetch", "--exchange", exchange, *A_DAY, "--detach")
    broker = redis.Redis.from_url(redis_url.replace("/0", "/1"))
    names = ("binance_rest", "bitfinex_rest", "bittrex_rest", "all_rest")
    with broker:
        assert [broker.llen(name) for name in names] == [1, 2, 0, 0]
