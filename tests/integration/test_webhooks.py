"""Whoever is named is told of each event once he takes it: in order, signed, whatever he did before."""

import asyncio
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from app.happening import Happening, Kind, happening
from app.jobs import webhooks
from app.jobs.webhooks import run_webhooks
from app.stores.database import Database
from app.stores.events import tell
from app.stores.webhooks import Webhook, WebhookStore
from common.clock import Clock
from tests.fixtures.command_line import CommandLine, candlehouse
from tests.fixtures.live import eventually, running
from tests.fixtures.simulator import simulator

__all__ = ["candlehouse", "simulator"]

T0 = 1_715_776_440_000


class Listener:
    """A program that is told; `answers` are the status codes of its next answers, after which it answers 204."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.heard.append((dict(self.headers), body))
                self.send_response(listener.answers.pop(0) if listener.answers else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?token=s3cret"

    @property
    def ids(self) -> list[str]:
        return [json.loads(body)["id"] for _, body in self.heard]


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def hooks(database: Database) -> WebhookStore:
    return WebhookStore(database)


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "LOOK_S", 0.1)


def lost(number: int, kind: Kind = Kind.LOST) -> Happening:
    return happening(kind, "binance", T0 + number, "reset", facts={"markets": number})


async def are_listening(client: redis.asyncio.Redis, count: int) -> bool:
    if not await client.exists("candlehouse:events"):
        return count == 0
    groups = await client.xinfo_groups("candlehouse:events")
    return len([one for one in groups if one["name"].startswith(b"webhook ")]) == count


async def test_each_event_of_its_kinds_is_posted_in_order_and_signed(
    redis_client: redis.asyncio.Redis, hooks: WebhookStore, listener: Listener
) -> None:
    await tell(redis_client, [lost(0)])
    number = await hooks.add(listener.url, "word", [Kind.LOST, Kind.GAP], T0)
    told = [lost(1), lost(2, Kind.CONNECTED), lost(3, Kind.GAP)]
    async with running(run_webhooks(redis_client, hooks, Clock())):
        await eventually(lambda: are_listening(redis_client, 1))
        await tell(redis_client, told)
        await eventually(lambda: _heard(listener, 2))
        await eventually(lambda: _told(hooks))
    assert listener.ids == [told[0].id, told[2].id], "from when it was added, and of its kinds alone"
    headers, body = listener.heard[0]
    assert json.loads(body) == {
        "kind": "lost",
        "exchange": "binance",
        "at": T0 + 1,
        "detail": "reset",
        "market": "",
        "facts": {"markets": 1},
        "id": told[0].id,
    }
    assert headers["X-Candlehouse-Event"] == "lost" and headers["X-Candlehouse-Id"] == told[0].id
    assert headers["X-Candlehouse-Signature"] == f"sha256={hmac.new(b'word', body, hashlib.sha256).hexdigest()}"
    (one,) = await hooks.all()
    assert (one.id, one.failure, one.failed_ms) == (number, "", None)


async def _heard(listener: Listener, count: int) -> bool:
    return len(listener.heard) >= count


async def _told(hooks: WebhookStore) -> Webhook | None:
    return next((one for one in await hooks.all() if one.told_ms), None)


async def test_what_is_not_taken_is_posted_again_before_what_came_later_and_no_log_holds_the_address(
    redis_client: redis.asyncio.Redis, hooks: WebhookStore, listener: Listener
) -> None:
    await hooks.add(listener.url, "word", [Kind.LOST], T0)
    listener.answers = [500, 302]
    told = [lost(1), lost(2)]
    with capture_logs() as logs:
        async with running(run_webhooks(redis_client, hooks, Clock(100))):
            await eventually(lambda: are_listening(redis_client, 1))
            await tell(redis_client, told)
            await eventually(lambda: _heard(listener, 4))
            found = await eventually(lambda: _told(hooks))
    assert listener.ids == [told[0].id] * 3 + [told[1].id]
    assert (found.failure, found.failed_ms is not None) == ("", True)
    assert [one["reason"] for one in logs if "webhook" in one] == ["HTTP 500"]
    assert "s3cret" not in repr(logs) + repr(found) and "word" not in repr(logs) + repr(found)


async def test_one_that_answers_nothing_for_an_hour_is_given_up_and_holds_up_no_other(
    redis_client: redis.asyncio.Redis, hooks: WebhookStore, listener: Listener
) -> None:
    await hooks.add("http://127.0.0.1:1/", "word", [Kind.LOST], T0)
    await hooks.add(listener.url, "word", [Kind.LOST], T0)
    told = [lost(1), lost(2)]
    with capture_logs() as logs:
        async with running(run_webhooks(redis_client, hooks, Clock(3600))):
            await eventually(lambda: are_listening(redis_client, 2))
            await tell(redis_client, told)
            await eventually(lambda: _heard(listener, 2))
            await eventually(lambda: _given_up(logs, 2))
    assert listener.ids == [one.id for one in told]
    first, second = await hooks.all()
    assert (first.told_ms, bool(first.failure), second.failure) == (None, True, "")


async def _given_up(logs: list[Any], count: int) -> bool:
    return sum(one["event"] == "A webhook is not told" for one in logs) >= count


async def test_an_address_that_is_none_and_kinds_that_nobody_knows_end_nothing(
    redis_client: redis.asyncio.Redis, database: Database, hooks: WebhookStore, listener: Listener
) -> None:
    """Somebody may have written them into the table by hand; the updater runs in the same process."""
    await hooks.add("https://exa mple.org:port/", "word", [Kind.LOST], T0)
    await hooks.add(listener.url, "word", [Kind.LOST], T0)
    async with database.begin() as connection:
        await connection.execute("UPDATE webhooks SET kinds = kinds || ARRAY['lots']")
    async with running(run_webhooks(redis_client, hooks, Clock(3600))):
        await eventually(lambda: are_listening(redis_client, 2))
        await tell(redis_client, [lost(1)])
        await eventually(lambda: _heard(listener, 1))
        await eventually(lambda: _failed(hooks))


async def _failed(hooks: WebhookStore) -> bool:
    return (await hooks.all())[0].failed_ms is not None


async def test_one_process_tells_at_a_time_and_the_next_takes_over_what_it_had_not_finished(
    redis_client: redis.asyncio.Redis, hooks: WebhookStore, listener: Listener
) -> None:
    await hooks.add(listener.url, "word", [Kind.LOST], T0)
    told = [lost(1), lost(2), lost(3)]
    listener.answers = [503] * 1000
    async with running(run_webhooks(redis_client, hooks, Clock(1))):
        await eventually(lambda: are_listening(redis_client, 1))
        async with running(run_webhooks(redis_client, hooks, Clock(1))):
            await tell(redis_client, told)
            await eventually(lambda: _heard(listener, 1))
            tellers = [task for task in asyncio.all_tasks() if task.get_name().startswith("webhook ")]
            assert len(tellers) == 1
    del listener.answers[:]
    before = len(listener.heard)
    async with running(run_webhooks(redis_client, hooks, Clock(1))):
        await eventually(lambda: _heard(listener, before + 3))
    assert listener.ids[before:] == [one.id for one in told], "in the order in which they happened"


async def test_one_that_was_removed_is_told_nothing_any_more(
    redis_client: redis.asyncio.Redis, hooks: WebhookStore, listener: Listener
) -> None:
    number = await hooks.add(listener.url, "word", [Kind.LOST], T0)
    async with running(run_webhooks(redis_client, hooks, Clock())):
        await eventually(lambda: are_listening(redis_client, 1))
        assert await hooks.remove(number) and not await hooks.remove(number)
        await eventually(lambda: _nobody_tells())
        await tell(redis_client, [lost(1)])
    assert listener.heard == []


async def _nobody_tells() -> bool:
    return not any(task.get_name().startswith("webhook ") for task in asyncio.all_tasks())


def test_addresses_are_added_shown_and_removed_and_the_secret_is_shown_once(candlehouse: CommandLine) -> None:
    assert candlehouse("webhooks", "list") == (0, "Nobody is told: candlehouse webhooks add URL.\n")
    status, said = candlehouse("webhooks", "add", "https://me:word@example.org/t0ken", "--kinds", "lost,gap")
    first, secret = said.splitlines()
    assert (status, len(secret)) == (0, 64)
    assert first == "Webhook 1 is told of lost, gap from now on. Its secret, shown only here:"
    status, said = candlehouse("webhooks", "list")
    assert said.splitlines()[1].split() == ["1", "example.org", "lost,gap", "never"]
    assert secret not in said and "t0ken" not in said and "word" not in said
    assert candlehouse("webhooks", "remove", "1") == (0, "Webhook 1 is told nothing any more.\n")


MISTAKES = [
    *("add example.org", "add http://[", "add http://x:y/", "add ftp://example.org"),
    *("add https://x.org --kinds lots", "remove 9"),
]


@pytest.mark.parametrize("arguments", MISTAKES)
def test_a_mistake_is_one_sentence_and_changes_nothing(candlehouse: CommandLine, arguments: str) -> None:
    status, said = candlehouse("webhooks", *arguments.split())
    assert (status, said.count("\n")) == (2, 1), said
    assert candlehouse("webhooks", "list")[1] == "Nobody is told: candlehouse webhooks add URL.\n"
