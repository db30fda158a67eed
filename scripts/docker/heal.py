"""`python heal.py PROJECT`: starts again what `docker kill` ended; Docker's restart policies heal crashes alone.

It hears the engine's events of one Compose project by the engine's socket, and orders nothing but starts. What
`docker stop`, `docker compose stop` or `down` ends is left alone: these ask first, by another signal than SIGKILL.
Standard library only: it runs by itself, in the one container that has the socket and that has no network.
"""

import http.client
import json
import socket
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

SOCKET = Path("/var/run/docker.sock")
SIGKILL = "9"
#: With which an image asks to stop: INT, QUIT, TERM.
STOP_SIGNALS = {"2", "3", "15"}
#: The engine remembers its last 256 events; what happened while nobody watched is looked for this far back.
PAST_S = 600

Event = dict[str, Any]


class Engine(http.client.HTTPConnection):
    """The Docker Engine's API on its socket."""

    def __init__(self) -> None:
        super().__init__("docker")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(SOCKET))


class Killed:
    """Which containers were killed without having been asked to stop, and are down."""

    def __init__(self) -> None:
        self.down: dict[str, str] = {}
        self._asked: set[str] = set()
        self._shot: set[str] = set()

    def hear(self, event: Event) -> None:
        """Events in the order in which they happened; `down` is by id, with the name."""
        ident, facts = event["Actor"]["ID"], event["Actor"]["Attributes"]
        match event["Action"]:
            case "kill" if facts.get("signal") in STOP_SIGNALS:
                self._asked.add(ident)
            case "kill" if facts.get("signal") == SIGKILL and ident not in self._asked:
                self._shot.add(ident)
            case "die" if ident in self._shot:
                self.down[ident] = facts.get("name", ident)
            case "start" | "stop" | "destroy":
                self._asked.discard(ident)
                self._shot.discard(ident)
                self.down.pop(ident, None)


def main(project: str) -> None:
    """Watch until the engine goes away; the restart policy starts us again then."""
    if not SOCKET.exists() or not stat.S_ISSOCK(SOCKET.stat().st_mode):
        print("No DOCKER_SOCKET: what `docker kill` ends stays down until `docker compose up -d`.", flush=True)
        return
    killed, now = Killed(), time.time()
    for event in _events(project, now - PAST_S, now):
        killed.hear(event)
    _start(killed)
    for event in _events(project, now):
        killed.hear(event)
        _start(killed)
    sys.exit("The Docker Engine has gone away.")


def _events(project: str, since_s: float, until_s: float | None = None) -> Iterator[Event]:
    kinds = ["kill", "die", "start", "stop", "destroy"]
    wanted = {"type": ["container"], "event": kinds, "label": [f"com.docker.compose.project={project}"]}
    until = "" if until_s is None else f"&until={until_s:.9f}"
    engine = Engine()
    engine.request("GET", f"/events?since={since_s:.9f}{until}&filters={quote(json.dumps(wanted))}")
    for line in engine.getresponse():
        yield json.loads(line)


def _start(killed: Killed) -> None:
    for ident, name in list(killed.down.items()):
        engine = Engine()
        engine.request("POST", f"/containers/{ident}/start")
        answer = engine.getresponse()
        said = answer.read().decode()
        print(
            f"{name} was killed; " + ("started it." if answer.status < 400 else f"cannot start it: {said}"),
            flush=True,
        )
        del killed.down[ident]


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(0)
