"""Which programs make up Candlehouse on one machine, and how each is called."""

import sys
from collections.abc import Mapping
from pathlib import Path

from app.settings import Settings
from app.supervisor import Role

#: Of one message to the web, before it is read at all; web.live.limits has the limit in characters.
MOST_MESSAGE_BYTES = 262_144
#: uvicorn's own lines in the form of all others.
LOG_CONFIG = Path(__file__).with_name("web_log.json")

CELERY = [sys.executable, "-m", "celery", "-A", "celery_app.celery_main"]


def all_roles(settings: Settings, environment: Mapping[str, str]) -> list[Role]:
    """Everything but the servers and the simulator, in the order of starting."""
    return [
        _update(settings, environment),
        *(_worker(settings, environment, name) for name in settings.exchange_names),
        *(_stream(settings, environment, name) for name in settings.streaming),
        _beat(settings, environment),
        _web(settings, environment),
        _flower(settings, environment),
    ]


def demo_roles(settings: Settings, environment: Mapping[str, str]) -> list[Role]:
    """The same, and before them the exchanges, all on one port."""
    return [_simulator(settings, environment), *all_roles(settings, environment)]


def _simulator(settings: Settings, environment: Mapping[str, str]) -> Role:
    clock = ["--clock-rate", str(settings.clock_rate), "--clock-anchor-ms", str(settings.clock_anchor_ms)]
    command = [sys.executable, "-m", "scripts.cli", "simulate", "--port", str(settings.simulator_port), *clock]
    return Role("simulator", command, settings.log_dir / "simulator.log", environment)


def _stream(settings: Settings, environment: Mapping[str, str], exchange: str) -> Role:
    log = settings.log_dir / f"websockets/{exchange}_websocket.log"
    options = ["fetch", "--exchange", exchange, "--log_filename", str(log)]
    command = [sys.executable, "-m", "scripts.fetchers.ws", *options]
    return Role(f"stream {exchange}", command, log, environment, rotates_log=True)


def _update(settings: Settings, environment: Mapping[str, str]) -> Role:
    log = settings.log_dir / "websockets/updater_websocket.log"
    command = [sys.executable, "-m", "scripts.fetchers.ws", "update", "--log_filename", str(log)]
    return Role("update", command, log, environment, rotates_log=True)


def _worker(settings: Settings, environment: Mapping[str, str], exchange: str) -> Role:
    name = f"{exchange}RestWorker"
    options = ["worker", "-Q", f"{exchange}_rest", "-n", f"{name}@%h", "-c", "1", "-l", settings.log_level]
    quiet = ["--without-gossip", "--without-mingle"]
    return Role(
        f"worker {exchange}", [*CELERY, *options, *quiet], settings.log_dir / f"celery/{name}.log", environment
    )


def _beat(settings: Settings, environment: Mapping[str, str]) -> Role:
    options = ["beat", "--pidfile", "", "-l", settings.log_level]
    return Role("beat", [*CELERY, *options], settings.log_dir / "celery/beat.log", environment)


def _web(settings: Settings, environment: Mapping[str, str]) -> Role:
    address = ["--host", settings.listen, "--port", str(settings.web_port)]
    # Frames of 200 bytes are not worth compressing: it costs CPU, and memory for each client.
    options = [
        "--timeout-graceful-shutdown",
        "3",
        "--ws-per-message-deflate",
        "false",
        "--ws",
        "web.live.sockets:Sockets",
        "--ws-max-size",
        str(MOST_MESSAGE_BYTES),
        "--log-config",
        str(LOG_CONFIG),
    ]
    proxy = ["--forwarded-allow-ips", settings.trusted_proxies, "--root-path", settings.root_path]
    command = [sys.executable, "-m", "uvicorn", "web.main:app", *address, *options, *proxy]
    return Role("web", command, settings.log_dir / "web.log", environment)


def _flower(settings: Settings, environment: Mapping[str, str]) -> Role:
    """Others log in as `candlehouse`, which the environment tells it: a command line is for all to read."""
    address = [f"--address={settings.listen}", f"--port={settings.celery_port}"]
    if settings.public and settings.web_token:
        environment = {**environment, "FLOWER_BASIC_AUTH": f"candlehouse:{settings.web_token.get_secret_value()}"}
    command = [sys.executable, "-m", "celery_app.flower", *address]
    return Role("flower", command, settings.log_dir / "celery/flower.log", environment)
