"""One throw-away copy of the project, and what Docker is asked to do with it."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parents[2]
PORTS = (
    "WEB_PORT",
    "CELERY_PORT",
    "POSTGRES_PORT",
    "REDIS_PORT",
    "SIMULATOR_PORT",
    "PROMETHEUS_PORT",
    "GRAFANA_PORT",
)
LISTED = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
CONTAINERS = ("coin-psql", "coin-redis", "coin-app", "coin-simulator")


class Failed(Exception):
    """A promise that was not kept."""


def expect(true: object, otherwise: str) -> None:
    if not true:
        raise Failed(otherwise)


def until(seconds: float, what: str, is_true: Callable[[], object]) -> float:
    """Seconds until it became true."""
    began = time.monotonic()
    while not is_true():
        expect(time.monotonic() - began < seconds, f"{what}: not within {seconds:g} s")
        time.sleep(0.5)
    return time.monotonic() - began


class Stack:
    """A copy of the committed files in `folder`, on ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.profiles = ["--profile", "demo"]
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))

    def copy(self) -> None:
        files = subprocess.run(LISTED, cwd=HERE, capture_output=True, text=True, check=True).stdout
        for name in filter(None, files.split("\0")):
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(HERE / name, target)

    def run(self, *command: str, given: dict[str, str] | None = None, limit: float = 600) -> str:
        """What the command says; Failed with it when its status is not 0."""
        done = self.tried(*command, given=given, limit=limit)
        expect(
            done.returncode == 0, f"{' '.join(command)[:200]} ended with {done.returncode}: {done.stdout[-1500:]}"
        )
        return done.stdout

    def tried(
        self, *command: str, given: dict[str, str] | None = None, limit: float = 600
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **{name: str(port) for name, port in self.ports.items()}, **(given or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit,
        )

    def compose(self, *words: str, given: dict[str, str] | None = None, limit: float = 600) -> str:
        return self.run("docker", "compose", *self.profiles, *words, given=given, limit=limit)

    def inside(self, *command: str, limit: float = 300) -> str:
        return self.run("docker", "exec", "coin-app", *command, limit=limit)

    def inside_stopped(self, *command: str) -> str:
        """In a container of coin-app's kind, while coin-app itself is stopped."""
        return self.compose("run", "--rm", "--no-deps", "coin-app", *command)

    def sql(self, query: str) -> str:
        """As the superuser, by the database container's own socket."""
        return self.run("docker", "exec", "coin-psql", "psql", "-U", "postgres", "-XqAt", "-F", ",", "-c", query)

    def state(self, container: str) -> str:
        shown = self.tried("docker", "inspect", "-f", "{{.State.Status}} {{json .State.Health}}", container).stdout
        status, _, health = shown.strip().partition(" ")
        return json.loads(health)["Status"] if health not in ("", "null", "<nil>") else status

    def all_well(self) -> bool:
        return all(self.state(name) == "healthy" for name in CONTAINERS)

    def init_log(self) -> list[str]:
        """Without their times."""
        file = self.folder / "logs/init.log"
        return [line.split(" - ", 1)[1] for line in file.read_text().splitlines()] if file.exists() else []

    def status_of(
        self, port: str, path: str, headers: dict[str, str] | None = None, host: str = "127.0.0.1"
    ) -> int:
        """The HTTP status; 0 when nobody answers."""
        asked = urllib.request.Request(f"http://{host}:{self.ports[port]}{path}", headers=headers or {})
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def body_of(self, port: str, path: str) -> bytes:
        """What is answered; nothing when nobody does."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=10) as answer:
                return bytes(answer.read())
        except OSError:
            return b""

    def remove_data(self) -> None:
        """The servers' files belong to users of theirs, so a container removes them."""
        inside = "rm -rf /all/local_data"
        self.run(
            "docker",
            "run",
            "--rm",
            "--entrypoint",
            "sh",
            "-v",
            f"{self.folder}:/all",
            "-u",
            "0",
            "candlehouse",
            "-c",
            inside,
        )

    def secrets(self) -> dict[str, str]:
        lines = [
            line for line in (self.folder / ".env").read_text().splitlines() if "=" in line and line[0] != "#"
        ]
        found = dict(line.split("=", 1) for line in lines)
        return {name: value for name, value in found.items() if name.endswith(("PASSWORD", "TOKEN"))}


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
