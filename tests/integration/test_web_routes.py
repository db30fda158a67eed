"""The other routes: markets, analytics, health, status, pages."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.stores import analytics
from app.stores.database import Database, open_database
from app.stores.heartbeat import tell
from common.errors import Retryable
from common.span import DAY_MS, MINUTE_MS
from tests.fixtures.postgres import execute, free_port
from tests.fixtures.web import BTC, NOW_MS, OLD, PEPE, UST, SetClock, minutes, rest, store, web_deps
from web import vendor
from web.deps import Deps, FetchProgress


@pytest.fixture
def deps(database: Database, redis_client: Redis) -> Deps:
    return web_deps(database, redis_client, SetClock())


@pytest.fixture
async def populated(database: Database, deps: Deps, postgres_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Eight days of three markets, of which one falls, one rises and one stands; and a row in `test`."""
    for market, per_day in ((BTC, 1.02), (PEPE, 0.97), (UST, 1.0)):
        prices = [100 * per_day**day for day in range(9)]
        times = [NOW_MS // DAY_MS * DAY_MS - (8 - day) * DAY_MS for day in range(9)]
        bars = [
            bar._replace(open=p, high=p, low=p, close=p, volume=2.0)
            for bar, p in zip(minutes(times), prices, strict=True)
        ]
        await store(database, market, bars)
    await store(database, OLD, [])
    await analytics.refresh(database, NOW_MS)
    execute(postgres_url, "INSERT INTO test VALUES (2, 'c', 'd', 1, 1), (1, 'a', 'b', 351235.00, 3.14)")
    async with rest(deps) as client:
        yield client


async def get(web: httpx.AsyncClient, path: str, status: int = 200, **params: Any) -> Any:
    answer = await web.get(path, params=params)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.afterpop
async def test_the_row_with_the_lowest_id_of_table_test(populated: httpx.AsyncClient) -> None:
    assert await get(populated, "/api/test") == [{"id": 1, "b": "a", "q": "b", "o": 351235, "c": 3.14}]


@pytest.mark.afterpop
async def test_daily_returns_honour_their_cutoffs_and_limit(populated: httpx.AsyncClient) -> None:
    def row(exchange: str, base: str, quote: str, value: float) -> dict[str, Any]:
        return {"exchange": exchange, "base_id": base, "quote_id": quote, "daily_return_pct": value}

    rise, still = row("binance", "BTC", "USDT", 2), row("bitfinex", "BTC", "USDT", 0)
    fall = row("binance", "PEPE", "USDT", -3)
    for params, wanted in [
        ({}, [rise, still, fall]),
        ({"limit": -1}, [rise, still, fall]),
        ({"limit": 1}, [rise]),
        ({"limit": 0}, []),
        ({"cutoff_lower_pct": 0}, [rise]),
        ({"cutoff_upper_pct": 0}, [fall]),
        ({"cutoff_upper_pct": 1, "cutoff_lower_pct": -1}, [still]),
        ({"cutoff_upper_pct": 20, "cutoff_lower_pct": 10, "limit": 10}, []),
    ]:
        assert await get(populated, "/api/analytics/geodr", **params) == wanted, params


@pytest.mark.afterpop
async def test_weekly_returns_honour_their_cutoffs_and_tell_iso_times(populated: httpx.AsyncClient) -> None:
    rows = await get(populated, "/api/analytics/wr")
    assert [(r["exchange"], r["base_id"], r["quote_id"]) for r in rows] == [
        ("binance", "BTC", "USDT"),
        ("bitfinex", "BTC", "USDT"),
        ("binance", "PEPE", "USDT"),
    ]
    assert all(r.keys() == {"time", "exchange", "base_id", "quote_id", "weekly_return_pct"} for r in rows)
    assert all(r["time"].startswith("2024-05-") and r["time"].endswith("+00:00") for r in rows)
    assert await get(populated, "/api/analytics/wr", cutoff_lower_pct=0) == rows[:1]
    assert await get(populated, "/api/analytics/wr", cutoff_upper_pct=0) == rows[2:]
    assert (
        await get(populated, "/api/analytics/wr", cutoff_upper_pct=20, cutoff_lower_pct=10, limit=10) == rows[:1]
    )


@pytest.mark.afterpop
async def test_quoted_volumes_are_the_largest_pairs_first(populated: httpx.AsyncClient) -> None:
    rows = await get(populated, "/api/analytics/top20qvlm")
    assert [row["bqgrp"] for row in rows] == ["BTC-USDT", "PEPE-USDT"]
    assert all(row.keys() == {"bqgrp", "total_volume"} and row["total_volume"] > 0 for row in rows)


@pytest.mark.afterpop
async def test_markets_that_trade_are_listed_by_exchange_in_the_predecessors_shape(
    populated: httpx.AsyncClient,
) -> None:
    def row(exchange: str, base: str, symbol: str) -> dict[str, Any]:
        return {"exchange": exchange, "base_id": base, "quote_id": "USDT", "symbol": symbol, "is_trading": True}

    wanted = [
        row("binance", "BTC", "BTCUSDT"),
        row("binance", "PEPE", "PEPEUSDT"),
        row("bitfinex", "BTC", "BTCUST"),
    ]
    assert await get(populated, "/api/symbol-exchange") == wanted
    assert await get(populated, "/api/symbol-exchange", exchange="bitfinex") == wanted[2:]
    detailed = await get(populated, "/api/symbol-exchange", details=True)
    last = NOW_MS // DAY_MS * DAY_MS
    extra = [{"tick_size": tick, "last_time": last, "former": []} for tick in (0.01, 1e-8, None)]
    assert detailed == [row | more for row, more in zip(wanted, extra, strict=True)]


@pytest.mark.afterpop
async def test_one_market_is_told_by_any_of_its_names_traded_or_not(populated: httpx.AsyncClient) -> None:
    named = {"PEPEUSDT": "binance pepe usdt", "BTCUST": "bitfinex BTC UST", "XMR-BTC": "bittrex XMR BTC"}
    for symbol, name in named.items():
        asked = dict(zip(("exchange", "base_id", "quote_id"), name.split(), strict=True))
        rows = await get(populated, "/api/symbol-exchange", **asked, details=True)
        assert [row["symbol"] for row in rows] == [symbol]
    refused = await get(populated, "/api/symbol-exchange", 422, base_id="BTC")
    assert refused["field"] == "exchange"


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        ("/api/analytics/geodr", {"limit": -2}, "limit"),
        ("/api/analytics/wr", {"cutoff_lower_pct": "low"}, "cutoff_lower_pct"),
        ("/api/analytics/wr", {"cutoff_upper_pct": "nan"}, "cutoff_upper_pct"),
        ("/api/symbol-exchange", {"exchange": "mtgox"}, "exchange"),
    ],
)
async def test_a_bad_question_names_its_field(deps: Deps, path: str, params: dict[str, Any], field: str) -> None:
    async with rest(deps) as web:
        answer = await web.get(path, params=params)
    assert answer.status_code in (404, 422)
    assert answer.json()["field"] == field


async def test_analytics_of_an_empty_database_are_empty(deps: Deps) -> None:
    async with rest(deps) as web:
        for name in ("geodr", "wr", "top20qvlm"):
            assert await get(web, f"/api/analytics/{name}") == []
        assert await get(web, "/api/test") == []


async def beat(redis: Redis, **fields: str | int) -> None:
    told: dict[Any, Any] = {"state": "connected", "connections": 1, "symbols": 8, "last_error": ""}
    told |= {"last_candle_ms": 0, **fields}
    await tell(redis, "binance", told)


async def test_ready_means_fresh_candles_of_every_streaming_exchange(deps: Deps, redis_client: Redis) -> None:
    async with rest(deps) as web:
        assert await get(web, "/ready", 503) == {"ready": False, "reasons": {"binance": "No stream runs for it."}}
        await beat(redis_client, state="connecting", last_error="refused")
        reasons = {"binance": "No candle yet; its stream is connecting. refused"}
        assert await get(web, "/ready", 503) == {"ready": False, "reasons": reasons}
        await beat(redis_client, last_candle_ms=NOW_MS - 10 * MINUTE_MS)
        reasons = {"binance": "Its newest candle is 600 s old."}
        assert await get(web, "/ready", 503) == {"ready": False, "reasons": reasons}
        await beat(redis_client, last_candle_ms=NOW_MS - MINUTE_MS)
        assert await get(web, "/ready") == {"ready": True, "reasons": {}}


async def test_without_its_servers_the_web_is_alive_and_says_what_is_missing() -> None:
    port = free_port()
    database = open_database(f"postgresql://u:p@127.0.0.1:{port}/x")
    redis = Redis.from_url(f"redis://127.0.0.1:{port}/0")
    async with rest(web_deps(database, redis, SetClock())) as web:
        assert await get(web, "/health") == {"status": "alive"}
        ready = await get(web, "/ready", 503)
        assert ready["reasons"].keys() == {"database", "redis"}
        asked = {"exchange": "binance", "base_id": "BTC", "quote_id": "USDT", "interval": "1m"}
        refused = await get(web, "/api/ohlcvs", 503, **asked)
    assert refused["detail"].startswith(f"PostgreSQL at 127.0.0.1:{port} cannot be reached")
    await redis.aclose()
    await database.close()


async def test_status_tells_the_streams_and_the_fetches_under_way(deps: Deps, redis_client: Redis) -> None:
    job = FetchProgress(7, "binance", "running", 2000, 500, 1500, 3, 0)

    async def jobs() -> list[FetchProgress]:
        return [job]

    await beat(redis_client, last_candle_ms=NOW_MS)
    async with rest(replace(deps, jobs=jobs)) as web:
        told = await get(web, "/api/status")
    assert told == {
        "now": NOW_MS,
        "streams": {
            "binance": {
                "state": "connected",
                "connections": 1,
                "symbols": 8,
                "last_candle_ms": NOW_MS,
                "last_error": "",
                "fresh": True,
            }
        },
        "jobs": [
            {
                "id": 7,
                "exchange": "binance",
                "state": "running",
                "minutes_total": 2000,
                "minutes_left": 500,
                "rows_written": 1500,
                "requests": 3,
                "errors": 0,
            }
        ],
    }


METRICS = ("/metrics", "/metrics/targets")
#: Of other programs' clients.
SHAPES = ("/binance/", "/udf/", "/ccxt/")


async def test_the_api_describes_itself(deps: Deps) -> None:
    async with rest(deps) as web:
        described = await get(web, "/api/openapi.json")
    routes = (
        "ohlcvs",
        "events",
        "exchanges",
        "jobs",
        "jobs/{number}",
        "keys",
        "keys/{number}",
        "revisions",
        "symbol-exchange",
        "symbols/search",
        "asyncapi.json",
        "latest",
        "coverage",
        "coverage/days",
        "analytics/geodr",
        "analytics/wr",
        "analytics/top20qvlm",
        "test",
        "status",
    )
    own = {path for path in described["paths"] if not path.startswith(SHAPES)}
    assert own == {*(f"/api/{route}" for route in routes), "/health", "/ready", *METRICS}
    content = described["paths"]["/api/ohlcvs"]["get"]["responses"]["200"]["content"]
    row = content["application/json"]["schema"]["anyOf"][0]["items"]
    assert list(row["properties"]) == ["time", "open", "high", "low", "close", "volume"]


async def test_the_pages_are_served_and_home_is_the_chart(deps: Deps) -> None:
    async with rest(deps) as web:
        home = await web.get("/")
        assert (home.status_code, home.headers["location"]) == (307, "/view/wschart")
        for path, title in (("/view/wschart", "View a Symbol"), ("/view/analytics/general", "Analytics")):
            page = await web.get(path)
            assert page.status_code == 200
            assert f"<title>{title} · Candlehouse</title>" in page.text
            assert "script-src" in page.headers["content-security-policy"] or "default-src 'self'" in str(
                page.headers
            )
        script = await web.get("/static/js/wschart.js")
        assert (script.status_code, script.headers["cache-control"]) == (200, "no-cache")


async def test_an_unknown_page_is_a_page_that_leads_to_those_there_are(deps: Deps) -> None:
    async with rest(deps) as web:
        page = await web.get("/view/nothing/here")
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        for path in ("wschart", "analytics/general", "coverage", "status"):
            assert f'<a href="/view/{path}">' in page.text.split("No such page</h1>")[1]


async def test_nothing_but_the_two_libraries_is_served_of_the_npm_packages(
    deps: Deps, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in vendor.FILES.values():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("export {}")
    monkeypatch.setattr(vendor, "NODE_MODULES", tmp_path)
    async with rest(deps) as web:
        for name, status in (
            ("chart.js", 200),
            ("lightweight-charts.js", 200),
            ("package.json", 404),
            ("..%2fx", 404),
        ):
            assert (await web.get(f"/static/vendor/{name}")).status_code == status, name
        assert vendor.MISSING not in (await web.get("/view/wschart")).text


async def test_without_the_npm_packages_the_pages_say_how_to_get_them(
    deps: Deps, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vendor, "NODE_MODULES", tmp_path)
    async with rest(deps) as web:
        page = (await web.get("/view/wschart")).text
        assert "The chart libraries are not installed. Run `make up` or `npm ci`" in page
        assert "wschart.js" not in page
        assert (await web.get("/static/vendor/chart.js")).status_code == 404


async def test_an_unforeseen_trouble_of_a_server_is_one_sentence(deps: Deps) -> None:
    async def lost() -> list[FetchProgress]:
        raise Retryable("PostgreSQL at 10.0.0.1:5432 cannot be reached")

    async with rest(replace(deps, jobs=lost)) as web:
        assert await get(web, "/api/status", 503) == {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "detail": "PostgreSQL at 10.0.0.1:5432 cannot be reached",
            "field": "",
            "allowed": "",
        }
