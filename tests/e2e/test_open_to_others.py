"""An instance that others can reach: it starts, and nobody learns anything without the token."""

import signal
import urllib.error
import urllib.request
from base64 import b64encode

import psutil
import pytest

from tests.fixtures import start

TOKEN = "a-token-that-nobody-guesses"
LIMIT_S = 100
SOURCES = ("database", "redis", "queues")


def status(url: str, authorization: str = "") -> int:
    asked = urllib.request.Request(url, headers={"Authorization": authorization} if authorization else {})
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def figures(url: str) -> str:
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return str(answer.read().decode())


def command_lines(folder: str) -> list[str]:
    """Of our own processes: those that have the folder in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if folder in process.environ().get("DATA_DIR", ""):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


@pytest.mark.timeout(240)
async def test_with_a_token_it_becomes_ready_and_the_page_and_flower_let_nobody_in_without() -> None:
    public = {"BIND_ADDRESS": "0.0.0.0", "WEB_TOKEN": TOKEN, "EXCHANGES": "binance", "FIRST_FILL_HOURS": "0"}
    with start.world("scripts.cli", "up", "--demo") as world:
        async with world.start(**public) as instance:
            said = [await instance.line(LIMIT_S)]
            while said[-1].startswith("Waiting for "):
                said.append(await instance.line(LIMIT_S))
            web = f"http://127.0.0.1:{world.ports['WEB_PORT']}"
            assert said[-1].startswith("Candlehouse is ready with simulated exchanges: ")
            flower = f"http://127.0.0.1:{world.ports['CELERY_PORT']}"
            password = "Basic " + b64encode(f"candlehouse:{TOKEN}".encode()).decode()
            for url in (
                f"{web}/ready",
                f"{web}/metrics",
                f"{flower}/",
                f"{flower}/api/tasks",
                f"{flower}/metrics",
            ):
                assert (status(url), status(url, password)) == (401, 200), url
            assert status(f"{web}/ready", f"Bearer {TOKEN}") == 200
            assert (status(f"{web}/health"), status(f"{flower}/healthcheck")) == (200, 200)
            told = figures(f"{web}/metrics")
            assert {f'candlehouse_source_up{{source="{name}"}} 1.0' for name in SOURCES} <= set(told.splitlines())
            lines = command_lines(str(world.folder))
            assert [line for line in lines if "celery_app.flower" in line and "--port=" in line]
            kept = [file.read_text() for file in world.folder.rglob("*") if file.suffix in (".log", ".json")]
            assert len(kept) > 5
            assert [text for text in (*lines, *kept, *said) if TOKEN in text] == []
            await instance.end(signal.SIGTERM)
        assert world.leftovers() == []


async def test_without_a_token_it_does_not_start() -> None:
    with start.world("scripts.cli", "up", "--demo") as world:
        async with world.start(BIND_ADDRESS="0.0.0.0") as instance:
            code, said = await instance.end()
            assert (code, said.partition(":")[0]) == (
                2,
                "BIND_ADDRESS 0.0.0.0 lets others in, but WEB_TOKEN is not set",
            )
