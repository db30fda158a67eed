"""Each process answers at a port of its own, is found while it lives, and never fails because of that."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.metrics import exporting as module
from app.metrics.exporting import exporting
from app.metrics.process import FIGURES, version
from app.metrics.scrape import Scrape, counter
from app.settings import Settings, load_settings
from app.stores.census import living
from common.errors import BadInput
from tests.fixtures.live import eventually
from tests.fixtures.start import any_port

TOKEN = "0123456789abcdef0123"


def settings_of(redis_url: str, ports: str, **more: str) -> Settings:
    given = {"REDIS_URL": redis_url, "DATABASE_URL": "postgresql://u:p4ssword@h/d", "METRICS_PORTS": ports, **more}
    return load_settings(given, Path("/nowhere"))


@contextmanager
def taken(port: int) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


async def ask(port: int, method: str = "GET", path: str = "/metrics", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.request(method, f"http://127.0.0.1:{port}{path}", headers=headers)


async def addresses(redis: Redis) -> list[str]:
    return [one.address for one in await living(redis)]


async def test_the_first_free_port_is_taken_and_told_and_left_again(redis_client: Redis, redis_url: str) -> None:
    first = any_port()
    settings = settings_of(redis_url, f"{first}-{first + 2}")
    with taken(first):
        async with exporting(settings, redis_client, "stream", "binance"):
            async with exporting(settings, redis_client, "worker", "okx", ["okx_rest"]):
                await eventually(lambda: has(redis_client, 2))
                found = [(one.role, one.name, one.address, one.queues) for one in await living(redis_client)]
                assert found == [
                    ("stream", "stream binance", f"127.0.0.1:{first + 1}", ()),
                    ("worker", "worker okx", f"127.0.0.1:{first + 2}", ("okx_rest",)),
                ]
                assert [(await ask(first + number)).status_code for number in (1, 2)] == [200, 200]
            assert await addresses(redis_client) == [f"127.0.0.1:{first + 1}"]
            with pytest.raises(httpx.ConnectError):
                await ask(first + 2)
    assert await living(redis_client) == []


async def has(redis: Redis, count: int) -> bool:
    return len(await living(redis)) == count


async def test_what_is_shown_is_told_beside_the_process_itself(redis_client: Redis, redis_url: str) -> None:
    port = any_port()
    count = 0

    def collect(scrape: Scrape) -> None:
        scrape.add("candlehouse_things_total", count, colour="red")

    async with exporting(settings_of(redis_url, f"{port}"), redis_client, "update") as exporter:
        alone = families(await ask(port))
        exporter.show({"candlehouse_things_total": counter("Things", "colour")}, collect)
        count = 7
        shown = families(await ask(port))
        await eventually(lambda: looked(port))
    assert alone.keys() == {name.removesuffix("_total") for name in FIGURES}
    assert shown.keys() - alone.keys() == {"candlehouse_things"}
    assert shown["candlehouse_things"] == [("candlehouse_things_total", {"colour": "red"}, 7)]
    ((_, labels, one),) = alone["candlehouse_build_info"]
    assert (labels["version"], one) == (version(), 1)


async def looked(port: int) -> bool:
    """The loop's lateness was looked at."""
    samples = families(await ask(port))["candlehouse_event_loop_lag_seconds"]
    return next(value for name, _, value in samples if name.endswith("_count")) >= 1


def families(answer: httpx.Response) -> dict[str, list[tuple[str, dict[str, str], float]]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    found = text_string_to_metric_families(answer.text)
    return {one.name: [(each.name, each.labels, each.value) for each in one.samples] for one in found}


async def test_where_the_web_wants_the_token_every_process_does(redis_client: Redis, redis_url: str) -> None:
    port = any_port()
    settings = settings_of(redis_url, f"{port}", BIND_ADDRESS="0.0.0.0", WEB_TOKEN=TOKEN)
    async with exporting(settings, redis_client, "update"):
        for given in ({}, {"Authorization": "Bearer guess"}, {"Authorization": f"Basic {TOKEN}"}):
            answer = await ask(port, **given)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), given
        assert (await ask(port, Authorization=f"Bearer {TOKEN}")).status_code == 200
        await eventually(lambda: has(redis_client, 1))
        assert await addresses(redis_client) == [f"127.0.0.1:{port}"], "as it is seen from Redis"


async def test_nothing_else_is_served(redis_client: Redis, redis_url: str) -> None:
    port = any_port()
    async with exporting(settings_of(redis_url, f"{port}"), redis_client, "update"):
        answers = [await ask(port, path="/"), await ask(port, "POST"), await ask(port, Padding="x" * 20_000)]
        assert [one.status_code for one in answers] == [404, 405, 431]
        assert await garbage(port) == b"HTTP/1.1 404 Not Found"
        assert (await ask(port)).status_code == 200


async def garbage(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\xff\x00\r\n\r\n")
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line.strip()


async def test_a_figure_that_fails_costs_one_scrape_and_nothing_else(redis_client: Redis, redis_url: str) -> None:
    port = any_port()
    broken = True

    def collect(scrape: Scrape) -> None:
        if broken:
            raise ZeroDivisionError

    async with exporting(settings_of(redis_url, f"{port}"), redis_client, "update") as exporter:
        exporter.show({}, collect)
        with capture_logs() as logs:
            assert (await ask(port)).status_code == 500
        assert [one["event"] for one in logs] == ["The figures cannot be told"]
        broken = False
        assert (await ask(port)).status_code == 200


async def test_without_a_free_port_a_process_says_so_once_works_on_and_is_counted(
    redis_client: Redis, redis_url: str
) -> None:
    port = any_port()
    with taken(port), capture_logs() as logs:
        async with exporting(settings_of(redis_url, f"{port}"), redis_client, "worker", "okx", ["okx_rest"]):
            await eventually(lambda: has(redis_client, 1))
            (found,) = await living(redis_client)
    assert (found.role, found.address, found.queues) == ("worker", "", ("okx_rest",))
    assert [(one["log_level"], one["METRICS_PORTS"]) for one in logs] == [("warning", f"{port}")]


async def test_a_process_that_may_not_listen_works_on(redis_client: Redis, redis_url: str) -> None:
    """An address that this machine does not have."""
    with capture_logs() as logs:
        settings = settings_of(redis_url, "9310-9399", LISTEN_ADDRESS="192.0.2.1")
        async with exporting(settings, redis_client, "update"):
            await eventually(lambda: has(redis_client, 1))
    assert [one["event"] for one in logs] == ["This process tells no metrics"]


async def test_turned_off_nobody_listens_and_nobody_complains(redis_client: Redis, redis_url: str) -> None:
    with capture_logs() as logs:
        async with exporting(settings_of(redis_url, "0"), redis_client, "update"):
            await eventually(lambda: has(redis_client, 1))
            assert await addresses(redis_client) == [""]
    assert logs == []


async def test_without_redis_figures_are_told_and_when_it_is_back_the_process_is_found(
    redis_client: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW_S", 0.02)
    port = any_port()
    async with exporting(settings_of(redis_url, f"{port}"), redis_client, "update"):
        await eventually(lambda: has(redis_client, 1))
        await redis_client.flushall()
        await eventually(lambda: has(redis_client, 1))
    settings = settings_of(redis_url, f"{port}")
    async with Redis.from_url("redis://127.0.0.1:1") as away, exporting(settings, away, "update"):
        assert (await ask(port)).status_code == 200


@pytest.mark.parametrize("ports", ["x", "1-", "-5", "9399-9310", "0-5", "70000", "1 - 2"])
def test_ports_that_cannot_be_are_refused_in_one_sentence(redis_url: str, ports: str) -> None:
    with pytest.raises(BadInput) as told:
        settings_of(redis_url, ports)
    allowed = "0, a port, or a first and a last port such as 9310-9399"
    assert told.value.sentence == f"METRICS_PORTS must be {allowed}, not {ports!r}."
