"""What runs here: the supervisor's state file, which other terminals read to find the running instance."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psutil

from app.processes import Process
from app.server_user import private_file


@dataclass(frozen=True, slots=True)
class Server:
    """An embedded server; its password stays in a file of mode 0600."""

    host: str
    port: int
    user: str
    database: str
    password_file: Path

    def url(self, scheme: str) -> str:
        password = self.password_file.read_text().strip()
        return f"{scheme}://{quote(self.user)}:{quote(password)}@{self.host}:{self.port}/{self.database}"


@dataclass(frozen=True, slots=True)
class Running:
    """One supervisor: who it is, where it serves, and what its other processes share.

    `environment` holds the variables (never a secret) that a second terminal must share, such as the simulator's
    addresses, `connections` the servers that it was told to use; `children` are told by name so that a later start
    can stop what a killed supervisor left behind.
    """

    supervisor: Process
    demo: bool
    web_url: str
    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict)
    connections: dict[str, str] = field(default_factory=dict)
    postgres: Server | None = None
    redis: Server | None = None
    children: dict[str, Process] = field(default_factory=dict)


def state_file(data_dir: Path) -> Path:
    return data_dir / "running.json"


def read(data_dir: Path) -> Running | None:
    """The last state written under `data_dir`, whether its supervisor still lives or not."""
    try:
        facts = json.loads(state_file(data_dir).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        return None  # somebody else's instance: its passwords are not ours to read either
    except ValueError:
        return None  # a machine that lost power while writing; nothing in it can be used
    return _parse(facts)


def alive(data_dir: Path) -> Running | None:
    """The instance that runs now, or None."""
    state = read(data_dir)
    return state if state and state.supervisor.alive() else None


def write(data_dir: Path, state: Running) -> None:
    """Replace the state file in one step, readable by its owner only."""
    private_file(state_file(data_dir), json.dumps(asdict(state), indent=1, default=str))


def clear(data_dir: Path) -> None:
    state_file(data_dir).unlink(missing_ok=True)


def lock(data_dir: Path) -> IO[str] | None:
    """Held by the one supervisor of `data_dir` while the returned file is open; None when another has it."""
    file = (data_dir / "running.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def this_process() -> Process:
    return Process(os.getpid(), psutil.Process().create_time())


def _parse(facts: dict[str, Any]) -> Running:
    return Running(
        supervisor=Process(**facts["supervisor"]),
        demo=facts["demo"],
        web_url=facts["web_url"],
        data_dir=Path(facts["data_dir"]),
        environment=facts["environment"],
        connections=facts.get("connections", {}),
        postgres=_server(facts["postgres"]),
        redis=_server(facts["redis"]),
        children={name: Process(**child) for name, child in facts["children"].items()},
    )


def _server(facts: dict[str, Any] | None) -> Server | None:
    return None if facts is None else Server(**{**facts, "password_file": Path(facts["password_file"])})
