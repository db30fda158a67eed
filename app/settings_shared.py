"""What the processes of one running instance must agree on, and whether an environment means that instance."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from app.running import Running

if TYPE_CHECKING:
    from app.settings import Settings

_SHARED = (
    "market",
    "exchanges",
    "symbols",
    "clock_rate",
    "clock_anchor_ms",
    "web_port",
    "celery_port",
    "simulator_port",
    "metrics_ports",
)


def shared_environment(settings: "Settings") -> dict[str, str]:
    """Variables that hold for every process of the instance; nothing secret."""
    return {name.upper(): str(getattr(settings, name)) for name in _SHARED} | settings.exchange_variables


def connections(settings: "Settings") -> dict[str, str]:
    """The servers that were named, as far as no secret is in their names."""
    named = {
        "POSTGRES_HOST": settings.postgres_host,
        "REDIS_HOST": settings.redis_host,
        "COMMON_HOST": settings.common_host,
    }
    return {name: host for name, host in named.items() if host}


def is_elsewhere(given: Mapping[str, str], name: str, instance: Running | None) -> bool:
    """Whether the variable names a server that is not the running instance's."""
    return name in given and (instance is None or instance.connections.get(name) != given[name])
