"""What Prometheus is told, and that nobody asks it for a figure that is not there."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from websockets.asyncio.client import connect

from app.disk import Room
from app.happening import Kind, happening
from app.messages import encode, from_candle
from app.stores import census, events, heartbeat, pulse
from app.stores.backlog import ORDERED_MS, closed_candles
from app.stores.budget import RedisBudget
from app.stores.census import Census, Member
from app.stores.closed_stream import ClosedStream
from app.stores.coverage import cover_on, want_on
from app.stores.database import Database
from app.stores.errors import ErrorStore, FetchError
from app.stores.heartbeat import tell
from app.stores.latest import CLOSED_CANDLES
from common.clock import Clock
from common.errors import Retryable
from common.market import Candle, Source
from common.ports import Priority
from common.span import MINUTE_MS, Span, floor_minute
from tests.fixtures.live import running
from tests.fixtures.web import (
    BTC,
    EXCHANGES,
    NOW_MS,
    SetClock,
    every_minute,
    listening,
    minutes,
    rest,
    store,
    web_deps,
)
from web.api import metrics
from web.deps import Deps, FetchProgress
from web.metrics import FIGURES

ROOT = Path(__file__).parents[2]
MINUTE = floor_minute(NOW_MS)

Samples = dict[str, float]


@pytest.fixture
def deps(database: Database, redis_client: Redis) -> Deps:
    return web_deps(database, redis_client, SetClock())


@pytest.fixture
async def web(deps: Deps) -> AsyncIterator[httpx.AsyncClient]:
    async with rest(deps) as client:
        yield client


async def scrape(web: httpx.AsyncClient) -> Samples:
    """`name{label=value}` -> value."""
    answer = await web.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    samples = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            samples[f"{sample.name}{{{labels}}}"] = sample.value
    return samples


def some(samples: Samples, word: str) -> Samples:
    return {name: value for name, value in samples.items() if word in name}


async def await_value(web: httpx.AsyncClient, name: str, value: float) -> None:
    async with asyncio.timeout(10):
        while (await scrape(web))[name] != value:  # noqa: ASYNC110  the server's own doing
            await asyncio.sleep(0.01)


async def close_candles(redis: Redis, count: int) -> None:
    bars = minutes(every_minute(MINUTE - count * MINUTE_MS, count))
    for bar in bars:
        candle = Candle(BTC, *bar[:6], None, None, Source.CLOSING_MESSAGE)
        await redis.xadd(CLOSED_CANDLES, {"candle": encode(from_candle(candle, NOW_MS))})


async def test_a_streams_own_words_become_figures(web: httpx.AsyncClient, redis_client: Redis) -> None:
    told: dict[str, str | int] = {"state": "connected", "connections": 2, "symbols": 1500, "malformed": 7}
    await tell(redis_client, "binance", told | {"last_candle_ms": NOW_MS - 90_000})
    of = "{exchange=binance}"
    states = ("connecting", "silent", "closed", "stopped")
    assert some(await scrape(web), "candlehouse_stream") == {
        f"candlehouse_stream_up{of}": 1,
        "candlehouse_stream_state{exchange=binance,state=connected}": 1,
        **{f"candlehouse_stream_state{{exchange=binance,state={state}}}": 0 for state in states},
        f"candlehouse_stream_connections{of}": 2,
        f"candlehouse_stream_symbols{of}": 1500,
        f"candlehouse_stream_processes{of}": 1,
        f"candlehouse_stream_newest_candle_age_seconds{of}": 90,
        f"candlehouse_stream_malformed_total{of}": 7,
    }
    await tell(redis_client, "binance", {"last_candle_ms": NOW_MS - 180_001})
    assert (await scrape(web))[f"candlehouse_stream_up{of}"] == 0


async def test_how_an_exchanges_budget_stands_is_told(database: Database, redis_client: Redis) -> None:
    clock = Clock()
    deps = web_deps(database, redis_client, clock)
    budget = RedisBudget(redis_client, "binance", 4800, clock)
    await budget.settle(await budget.acquire(1000))
    await budget.acquire(200, Priority.LIVE)
    await budget.refuse(418, clock.now_ms() + 80_000, clock.now_ms())
    async with rest(deps) as web, running(budget.acquire(1)):
        await await_value(web, "candlehouse_budget_waiting{exchange=binance,priority=history}", 1)
        found = some(await scrape(web), "candlehouse_budget")
    assert 60 < found.pop("candlehouse_budget_quiet_seconds{exchange=binance}") <= 80
    assert {name: value for name, value in found.items() if "binance" in name} == {
        "candlehouse_budget_used{exchange=binance}": 1200,
        "candlehouse_budget_limit{exchange=binance}": 4800,
        "candlehouse_budget_waiting{exchange=binance,priority=live}": 0,
        "candlehouse_budget_waiting{exchange=binance,priority=history}": 1,
    }
    assert {value for name, value in found.items() if "binance" not in name} == {0}


async def test_the_databases_disk_is_told_and_left_out_where_it_cannot_be_seen(deps: Deps) -> None:
    async with rest(deps) as web:
        assert some(await scrape(web), "candlehouse_disk") == {
            "candlehouse_disk_free_bytes{}": 3000,
            "candlehouse_disk_total_bytes{}": 9000,
            "candlehouse_disk_needed_bytes{}": 1840,
        }
    unseen = (await deps.room())._replace(disk=None)

    async def room() -> Room:
        return unseen

    async with rest(replace(deps, room=room)) as web:
        assert some(await scrape(web), "candlehouse_disk") == {"candlehouse_disk_needed_bytes{}": 1840}


async def test_a_stream_that_does_not_run_is_told_as_stopped_and_without_an_age(web: httpx.AsyncClient) -> None:
    samples = await scrape(web)
    assert samples["candlehouse_stream_state{exchange=binance,state=stopped}"] == 1
    assert samples["candlehouse_stream_up{exchange=binance}"] == 0
    assert some(samples, "age_seconds") == {}


async def test_what_is_stored_and_what_failed_is_counted(web: httpx.AsyncClient, database: Database) -> None:
    await store(database, BTC, minutes(every_minute(MINUTE - 3 * MINUTE_MS, 3)))
    for number in range(2):
        span = Span(MINUTE, MINUTE + (number + 1) * MINUTE_MS)
        await ErrorStore(database).record(FetchError("bitfinex", "BTCUSD", span, "Rejected", "no"), NOW_MS)
    samples = await scrape(web)
    failures = {name: 2.0 * (name == "bitfinex") for name in EXCHANGES}
    wanted = {f"candlehouse_fetch_failures{{exchange={name}}}": count for name, count in failures.items()}
    assert some(samples, "fetch_failures") == wanted
    async with database.connection() as connection:
        dirty = await connection.fetchval("SELECT count(*) FROM rollup_dirty")
    assert dirty > 0 and samples["candlehouse_rollup_dirty_rows{}"] == dirty
    assert samples["candlehouse_candles{}"] >= 0 and samples["candlehouse_symbols{}"] == 0


async def test_gaps_and_outages_are_counted(web: httpx.AsyncClient, database: Database) -> None:
    """The last five minutes are still settling."""
    await store(database, BTC, [])
    async with database.begin() as connection:
        now_ms = await connection.fetchval("SELECT present_minute()")
        await want_on(connection, {1: Span(now_ms - 60 * MINUTE_MS, now_ms)})
        await cover_on(connection, [(1, Span(now_ms - 40 * MINUTE_MS, now_ms - 30 * MINUTE_MS))])
        for start_ms in (0, MINUTE_MS):
            await connection.execute(
                "INSERT INTO exchange_outages (exchange, span, symbols, evidence, found_at) "
                "VALUES ('bitfinex', tstzrange($1, $2), '{1}', '', $2)",
                start_ms,
                start_ms + MINUTE_MS,
            )
    samples = await scrape(web)
    for figure, wanted in {"gap_minutes": {"binance": 45}, "outages": {"bitfinex": 2}}.items():
        assert some(samples, figure) == {
            f"candlehouse_{figure}{{exchange={name}}}": wanted.get(name, 0) for name in EXCHANGES
        }


async def test_the_fetches_of_an_exchange_are_summed(deps: Deps) -> None:
    async def jobs() -> list[FetchProgress]:
        return [
            FetchProgress(1, "binance", "running", 20_000, 5_000, 15_000, 15, 1),
            FetchProgress(2, "binance", "queued", 1_000, 1_000, 0, 0, 2),
        ]

    sums = {"jobs": 2, "candles": 21_000, "candles_left": 6_000, "rows": 15_000, "requests": 15, "errors": 3}
    async with rest(replace(deps, jobs=jobs)) as web:
        samples = await scrape(web)
    for what, value in sums.items():
        assert samples[f"candlehouse_fetch_{what}{{exchange=binance}}"] == value, what
        assert samples[f"candlehouse_fetch_{what}{{exchange=bitfinex}}"] == 0, what


async def test_closed_candles_count_until_the_database_has_them(
    web: httpx.AsyncClient, redis_client: Redis
) -> None:
    assert (await scrape(web))["candlehouse_closed_candles_backlog{}"] == 0
    await close_candles(redis_client, 5)
    assert await closed_candles(redis_client) == 5
    updater = ClosedStream(redis_client, "one")
    await updater.ensure_group()
    assert await closed_candles(redis_client) == 5
    taken = await updater.read(3, 10)
    assert await closed_candles(redis_client) == 5
    await updater.ack([entry for entry, _ in taken])
    assert (await scrape(web))["candlehouse_closed_candles_backlog{}"] == 2


async def test_the_oldest_message_of_a_queue_tells_for_how_long_it_waits(
    web: httpx.AsyncClient, redis_client: Redis
) -> None:
    """Celery adds on the left. A message that others sent does not say when that was."""
    now_ms = time.time_ns() // 1_000_000
    for ordered_ms in (now_ms - 90_000, now_ms - 10_000):
        await redis_client.lpush("binance_rest", json.dumps({"headers": {ORDERED_MS: ordered_ms}, "body": ""}))
    await redis_client.lpush("bitfinex_rest", '{"headers": {}}')
    await redis_client.lpush("bittrex_rest", "no message")
    found = some(await scrape(web), "queue_oldest")
    assert 90 <= found.pop("candlehouse_queue_oldest_seconds{queue=binance_rest}") < 150
    others = ("all", *EXCHANGES[1:])
    assert found == {f"candlehouse_queue_oldest_seconds{{queue={name}_rest}}": 0 for name in others}


async def test_who_lives_is_counted_and_who_is_missing_is_told_as_none(
    web: httpx.AsyncClient, redis_client: Redis
) -> None:
    queues = ("all_rest", "bitfinex_rest")
    for number in range(2):
        address = f"127.0.0.1:{9310 + number}"
        await Census(redis_client, Member(f"{number}", "worker", "worker bitfinex", address, queues)).renew()
    samples = await scrape(web)
    assert some(samples, "candlehouse_processes") == {
        f"candlehouse_processes{{role={role}}}": 2 * (role == "worker")
        for role in ("stream", "update", "worker", "beat")
    }
    assert some(samples, "queue_consumers") == {
        "candlehouse_queue_consumers{queue=all_rest}": 2,
        "candlehouse_queue_consumers{queue=bitfinex_rest}": 2,
        "candlehouse_queue_consumers{queue=binance_rest}": 0,
    }


async def test_prometheus_finds_every_process_that_can_be_asked_until_it_ends(
    web: httpx.AsyncClient, redis_client: Redis
) -> None:
    stream = Census(redis_client, Member("a", "stream", "stream binance", "127.0.0.1:9310"))
    await stream.renew()
    await Census(redis_client, Member("b", "worker", "worker binance", "[::1]:9311")).renew()
    await Census(redis_client, Member("c", "update", "update")).renew()
    answer = await web.get("/metrics/targets")
    assert answer.headers["Content-Type"] == "application/json"
    worker = {"targets": ["[::1]:9311"], "labels": {"role": "worker", "process": "worker binance"}}
    assert answer.json() == [
        {"targets": ["127.0.0.1:9310"], "labels": {"role": "stream", "process": "stream binance"}},
        worker,
    ]
    await stream.leave()
    assert (await web.get("/metrics/targets")).json() == [worker]


async def test_where_redis_does_not_answer_prometheus_keeps_the_targets_that_it_knows(deps: Deps) -> None:
    """As it does after any answer that is no 200."""
    async with rest(replace(deps, figures=Away(slow=False))) as web:
        assert (await web.get("/metrics/targets")).status_code == 503


async def test_a_process_that_renews_its_lease_no_more_is_forgotten(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, alive = (Member(name, "update", name) for name in ("dead", "alive"))
    monkeypatch.setattr(census, "LEASE_S", 0.05)
    await Census(redis_client, dead).renew()
    async with asyncio.timeout(5):
        while await census.living(redis_client):  # noqa: ASYNC110  Redis forgets by its own clock
            await asyncio.sleep(0.01)
    monkeypatch.setattr(census, "LEASE_S", 60)
    await Census(redis_client, alive).renew()
    assert await census.living(redis_client) == [alive]
    assert await redis_client.zcard("candlehouse:processes") == 1, "nothing is left of the dead"


async def test_a_hole_pends_until_a_pass_that_began_after_it_has_ended(
    web: httpx.AsyncClient, redis_client: Redis
) -> None:
    async def pending() -> float:
        return (await scrape(web))["candlehouse_heal_pending_seconds{exchange=binance}"]

    assert await pending() == 0
    await heartbeat.note_pass(redis_client, "binance", NOW_MS - 9_000)
    for ago_ms in (5_000, 2_000):
        await heartbeat.ring(redis_client, "binance", NOW_MS - ago_ms)
    assert await heartbeat.note_end(redis_client, "binance") is None, "it began before the loss"
    assert await pending() == 5
    await heartbeat.note_pass(redis_client, "binance", NOW_MS - 1_000)
    assert await heartbeat.note_end(redis_client, "binance") == NOW_MS - 5_000
    assert await pending() == 0
    assert await heartbeat.note_end(redis_client, "binance") is None


async def test_streams_and_their_readers_are_counted(web: httpx.AsyncClient, redis_client: Redis) -> None:
    await close_candles(redis_client, 3)
    updater = ClosedStream(redis_client, "one")
    await updater.ensure_group()
    await updater.read(1, 10)
    samples = await scrape(web)
    lengths = {"closed_candles": 3, "candlehouse:events": 0, **{f"live_{name}": 0 for name in EXCHANGES}}
    wanted = {f"candlehouse_redis_stream_entries{{stream={name}}}": count for name, count in lengths.items()}
    assert some(samples, "stream_entries") == wanted
    assert samples["candlehouse_closed_candles_consumers{}"] == 1


async def test_answers_are_counted_by_route_and_status(web: httpx.AsyncClient) -> None:
    for path in ("/health", "/health", "/static/css/chart.css", "/nowhere", "/api/revisions"):
        await web.get(path)
    name = "candlehouse_http_request_seconds_count"
    assert some(await scrape(web), name) == {
        f"{name}{{route=/health,status=200}}": 2,
        f"{name}{{route=/static,status=200}}": 1,
        f"{name}{{route=none,status=404}}": 1,
        f"{name}{{route=/api/revisions,status=422}}": 1,
    }


async def test_the_web_tells_of_its_own_process(web: httpx.AsyncClient) -> None:
    samples, own = await scrape(web), psutil.Process()
    assert samples["process_start_time_seconds{}"] == own.create_time()
    assert own.memory_info().rss / 2 < samples["process_resident_memory_bytes{}"] < own.memory_info().rss * 2
    assert samples["process_open_fds{}"] > 3 and samples["process_cpu_seconds_total{}"] > 0


async def test_celerys_queues_are_counted(web: httpx.AsyncClient, redis_client: Redis) -> None:
    await redis_client.rpush("bitfinex_rest", "a message", "another")
    wanted = {f"candlehouse_queue_length{{queue={name}_rest}}": 0 for name in (*EXCHANGES, "all")}
    wanted["candlehouse_queue_length{queue=bitfinex_rest}"] = 2
    assert some(await scrape(web), "queue_length") == wanted


async def test_websockets_are_counted_while_they_are_open(deps: Deps, database: Database) -> None:
    await store(database, BTC, [])
    names = {"event_type": "subscribe", "data_type": "ohlcv", "exchange": "binance", "base_id": "BTC", "mls": True}
    async with listening(deps) as address, httpx.AsyncClient(base_url=f"http://{address}") as web:
        async with connect(f"ws://{address}/api/ohlcvs") as one, connect(f"ws://{address}/api/ohlcvs"):
            for interval in ("1m", "1h"):
                await one.send(json.dumps(names | {"quote_id": "USDT", "interval": interval}))
            await await_value(web, "candlehouse_websocket_clients{}", 2)
            await await_value(web, "candlehouse_websocket_subscriptions{}", 2)
        await await_value(web, "candlehouse_websocket_clients{}", 0)
        await await_value(web, "candlehouse_websocket_subscriptions{}", 0)


class Away:
    """Figures of servers that do not answer; `slow` ones keep us waiting."""

    def __init__(self, *, slow: bool) -> None:
        self._slow = slow

    async def _fail(self) -> Any:
        if self._slow:
            await asyncio.Event().wait()
        raise Retryable("away")

    stored = backlog = queues = events = pulse = _fail
    oldest_ms = updaters = streams = processes = healing_since_ms = _fail


@pytest.mark.parametrize("slow", [False, True])
async def test_a_source_that_does_not_answer_costs_its_own_figures_alone(
    deps: Deps, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "LIMIT_S", 0.05 if slow else 60)
    async with rest(replace(deps, figures=Away(slow=slow))) as web:
        samples = await scrape(web)
    assert set(some(samples, "source_up").values()) == {0}
    assert len(some(samples, "source_up")) == 3
    assert some(samples, "queue_length") == some(samples, "fetch_") == {}
    assert samples["candlehouse_websocket_clients{}"] == 0


async def test_all_sources_answer_where_all_is_well(web: httpx.AsyncClient) -> None:
    wanted = {f"candlehouse_source_up{{source={name}}}": 1 for name in ("database", "redis", "queues")}
    assert some(await scrape(web), "source_up") == wanted


async def test_the_version_that_runs_is_the_projects(web: httpx.AsyncClient) -> None:
    (name,) = some(await scrape(web), "build_info")
    written = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert written and f"version={written[1]}}}" in name


async def test_prometheus_own_form_is_answered_too(web: httpx.AsyncClient, redis_client: Redis) -> None:
    await tell(redis_client, "binance", {"last_candle_ms": NOW_MS})
    wanted = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
    answer = await web.get("/metrics", headers={"Accept": wanted})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    told = {family.name for family in openmetrics(answer.text) if family.samples}
    text = (await web.get("/metrics")).text
    plain = {family.name for family in text_string_to_metric_families(text) if family.samples}
    assert plain - told == {"candlehouse_http_request_seconds"}, "a request is not over while it is answered"
    assert told <= plain


async def exposed(web: httpx.AsyncClient) -> dict[str, set[str]]:
    """Each figure that /metrics names, and the labels of its samples."""
    text = (await web.get("/metrics")).text
    found: dict[str, set[str]] = {name: set() for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name if sample.name in found else sample.name.rpartition("_")[0]
            found[name] |= set(sample.labels) - {"le"}
    return found


async def test_every_figure_of_the_reference_is_told_with_its_labels_and_nothing_else(
    web: httpx.AsyncClient, redis_client: Redis
) -> None:
    """The reference says what `FIGURES` says (tests/unit/test_metrics_docs.py)."""
    await tell(redis_client, "binance", {"last_candle_ms": NOW_MS})
    await events.tell(redis_client, [happening(Kind.LOST, "binance", NOW_MS)])
    await pulse.beat(redis_client, "binance", NOW_MS)
    await web.get("/health")
    assert await exposed(web) == {name: set(figure.labels) for name, figure in FIGURES.items()}
