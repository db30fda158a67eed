"""The tmux sessions psql, redis, fetch, web and celery: windows onto what the supervisor runs.

Closing one stops nothing. A pane whose program ends starts it again, and a session that is closed comes back.
"""

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.settings import Settings
from app.supervisor import Role

NAMES = ("psql", "redis", "fetch", "web", "celery")
#: Those that always have a pane, as the predecessor's had; one that is not streamed says why.
FIRST = ("binance", "bitfinex", "bittrex")
HINT = Path(__file__).with_name("hint.txt")


def role(settings: Settings, environment: Mapping[str, str]) -> Role:
    """The tmux server in the foreground, with a configuration that makes the sessions."""
    file = settings.data_dir / "tmux.conf"
    file.write_text(configuration(settings.log_dir, shown(settings), file))
    return Role("tmux", ["tmux", "-D", "-f", str(file)], settings.log_dir / "tmux.log", environment)


def shown(settings: Settings) -> list[str]:
    """The exchanges that have a pane."""
    return sorted({*FIRST, *settings.exchange_names})


async def exist() -> bool:
    """Whether all of them can be attached to."""
    asked = await asyncio.create_subprocess_exec(
        "tmux",
        "list-sessions",
        "-F",
        "#{session_name}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await asked.communicate()
    return set(NAMES) <= set(said.decode().split())


def configuration(logs: Path, exchanges: Sequence[str], file: Path) -> str:
    """What tmux reads when it starts, and again whenever a session was closed."""
    celery = [
        str(logs / "celery" / name) for name in ("flower.log", *(f"{one}RestWorker.log" for one in exchanges))
    ]
    sessions = {
        "psql": [_session("psql", "candlehouse psql; sleep 2")],
        "redis": [_session("redis", "candlehouse redis-cli; sleep 2")],
        "fetch": _fetch(logs, exchanges),
        "web": [_session("web", _follow(str(logs / "web.log")))],
        "celery": [_session("celery", _follow(*celery))],
    }
    made = [
        f"if-shell 'tmux has-session -t {name} 2>/dev/null' '' {{\n"
        + "\n".join(f"  {line}" for line in lines)
        + "\n}"
        for name, lines in sessions.items()
    ]
    return "\n".join([*_OPTIONS, f"set-hook -g session-closed 'source-file {shlex.quote(str(file))}'", *made, ""])


_OPTIONS = (
    "set -g default-terminal tmux-256color",
    "set -g mouse on",
    "set -g history-limit 20000",
    "set -g remain-on-exit on",
    "set -g pane-border-status top",
    "set -g pane-border-format ' #{pane_title} '",
    "set -g status-right ' Ctrl-b d leaves, Ctrl-b s shows the others '",
    "set -g status-right-length 50",
    "set-hook -g pane-died 'respawn-pane'",
)


def _session(name: str, command: str) -> str:
    return f"new-session -d -s {name} -x 200 -y 50 {shlex.quote(command)}"


def _fetch(logs: Path, exchanges: Sequence[str]) -> list[str]:
    """A shell and the updater above, one pane for each exchange's stream below."""
    shell = f"cat {HINT}; exec bash"
    updater = _follow(str(logs / "websockets/updater_websocket.log"))
    streams = [f"python -m scripts.docker.follow {name}" for name in exchanges]
    lines = [_session("fetch", shell), "select-pane -t fetch -T 'fetch history here'"]
    lines.append(f"split-window -v -f -l 50% -t fetch {shlex.quote(streams[0])}")
    for number, command in enumerate(streams[1:], 1):
        share = 100 * (len(streams) - number) // (len(streams) - number + 1)
        lines.append(f"split-window -h -l {share}% -t fetch {shlex.quote(command)}")
    lines += ["select-pane -t fetch:.0", f"split-window -h -l 50% -t fetch:.0 {shlex.quote(updater)}"]
    return [*lines, "select-pane -t fetch:.0"]


def _follow(*files: str) -> str:
    return f"tail -n 100 -F {' '.join(files)} 2>/dev/null"
