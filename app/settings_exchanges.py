"""The settings that each exchange has: BINANCE_REST_URL and so on."""

from typing import TYPE_CHECKING

from fetchers import binance_vision, registry

if TYPE_CHECKING:
    from app.settings import Settings

_OF_EACH = ("_REST_URL", "_WS_URL", "_WEIGHT_PER_MINUTE")
#: Exchanges that publish archives, and where.
_ARCHIVES = {"binance": binance_vision.URL}

EXCHANGE_SUFFIXES = (*_OF_EACH, "_ARCHIVE_URL")


def variables() -> list[str]:
    """Their names, exchange by exchange."""
    of_each = [name.upper() + suffix for name in registry.names() for suffix in _OF_EACH]
    return of_each + [f"{name.upper()}_ARCHIVE_URL" for name in _ARCHIVES]


def variables_of_ccxt() -> list[str]:
    """Those of the exchanges that ccxt alone knows."""
    others = set(registry.known()) - set(registry.names())
    return [name.upper() + suffix for name in sorted(others) for suffix in _OF_EACH]


def archive_url(settings: "Settings", exchange: str) -> str:
    """The host of the exchange's archives, as overridden or its own."""
    return settings.exchange_variables.get(f"{exchange.upper()}_ARCHIVE_URL") or _ARCHIVES[exchange]


def has_own_archives(settings: "Settings", exchange: str) -> bool:
    """Whether they come from where the exchange itself publishes them."""
    return archive_url(settings, exchange).rstrip("/") == _ARCHIVES[exchange]
