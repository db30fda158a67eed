"""What a setting's value must satisfy beyond its type, said in one sentence that names the variable."""

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr, ValidationError

from common import symbols
from common.errors import BadInput
from fetchers import registry
from fetchers.by_ccxt import names as of_ccxt

if TYPE_CHECKING:
    from app.settings import Settings

#: Passwords that stood in somebody's example; a start with one of them is refused.
EXAMPLE_PASSWORDS = frozenset({"icecreamyummy", "password", "postgres", "changeme", "secret"})

SHORTEST_TOKEN = 16

#: Names in `.env` that docker-compose.yml alone reads.
COMPOSE_ONLY = (
    "APP_MEMORY",
    "DOCKER_SOCKET",
    "GRAFANA_PASSWORD",
    "GRAFANA_PORT",
    "POSTGRES_MEMORY",
    "PROMETHEUS_PORT",
    "REDIS_MEMORY",
    "ROLE_MEMORY",
    "WEB_PORTS",
)
#: What may follow `Bearer` in a header (RFC 6750); a comma would also end it where Flower reads it.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]*")

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_ORIGIN = re.compile(r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?")

_SCHEMES = {"DATABASE_URL": ("postgresql", "postgres"), "REDIS_URL": ("redis", "rediss")}

EGRESS = "an address or a name, of letters, digits and . : _ -"
#: Minutes are kept for so many days at least: analytics and reconciling look a week back.
FEWEST_DAYS = 8
RETAINED = f"0, or days from {FEWEST_DAYS} to 36500"


def check(settings: "Settings") -> None:
    """Raise BadInput for the first value that cannot be."""
    _check_exchanges(settings)
    symbols.validate_patterns(settings.symbols)
    _check_address("DATABASE_URL", settings.connection_url)
    _check_address("REDIS_URL", settings.cache_url)
    _check_password("POSTGRES_PASSWORD", settings.postgres_password)
    _check_password("REDIS_PASSWORD", settings.redis_password)
    _check_password("WEB_TOKEN", settings.web_token)
    for name, value in settings.exchange_variables.items():
        _check_exchange_variable(name, value)
    for name in {*registry.names(), *settings.exchange_names}:
        _check_weight(settings, name)
    _check_listen_address("BIND_ADDRESS", settings.bind_address)
    if settings.listen_address:
        _check_listen_address("LISTEN_ADDRESS", settings.listen_address)
    _check_token(settings)
    _check_names(settings)
    _check_clock(settings)
    if 0 < settings.retain_minutes_days < FEWEST_DAYS:
        sentence = f"RETAIN_MINUTES_DAYS must be {RETAINED}, not '{settings.retain_minutes_days}'."
        raise BadInput("RETAIN_MINUTES_DAYS", sentence, RETAINED)


def refuse_unknown(written: Iterable[str], known: list[str], source: str | Path) -> None:
    """A name in `.env` that is nearly one of ours is a slip; other programs' names are left alone."""
    for name in written:
        if name not in known and (close := difflib.get_close_matches(name, known, 1, 0.8)):
            raise BadInput(name, f"{name} in {source} is not a setting; did you mean {close[0]}?", close[0])


def sentence_of(error: ValidationError, model: type[BaseModel], values: Mapping[str, Any]) -> BadInput:
    """The first of pydantic's complaints in our words; a secret's value is never repeated."""
    variable = str(error.errors(include_input=False, include_url=False)[0]["loc"][0])
    field = next(f for f in model.model_fields.values() if f.validation_alias == variable)
    allowed = next(filter(None, [field.description, *(m.description for m in _inner(field.annotation))]), "text")
    shown = "" if "PASSWORD" in variable or "_URL" in variable else f", not {str(values[variable])!r}"
    return BadInput(variable, f"{variable} must be {allowed}{shown}.", allowed)


def _inner(annotation: Any) -> list[Any]:
    """The Field descriptions inside `Port | None`."""
    parts = getattr(annotation, "__args__", ())
    found = [m for part in parts for m in getattr(part, "__metadata__", ()) if hasattr(m, "description")]
    return found


def _check_exchanges(settings: "Settings") -> None:
    allowed = registry.choices()
    named = [name.strip().lower() for name in settings.exchanges.split(",") if name.strip()]
    if not named:
        raise BadInput("EXCHANGES", f"EXCHANGES names no exchange; choose from {allowed}.", allowed)
    for name in named:
        try:
            registry.name_of(name)
        except BadInput as error:
            is_known = name.removeprefix(of_ccxt.PREFIX) in registry.known()
            unknown = f"EXCHANGES names {name!r}, which is unknown; choose from {allowed}."
            sentence = f"EXCHANGES: {error.sentence}" if is_known else unknown
            raise BadInput("EXCHANGES", sentence, error.allowed) from None


def _check_address(variable: str, value: SecretStr | None) -> None:
    if value is None:
        return
    schemes = _SCHEMES[variable]
    address = urlsplit(value.get_secret_value())
    form = f"{schemes[0]}://user:password@host:port/name"
    if address.scheme.split("+")[0] not in schemes or not address.hostname:
        raise BadInput(variable, f"{variable} must look like {form}.", form)
    try:
        _ = address.port
    except ValueError:  # it would say the beginning of a password
        sentence = f"{variable} must look like {form}; in a password write / as %2F and @ as %40."
        raise BadInput(variable, sentence, form) from None


def _check_password(variable: str, value: SecretStr | None) -> None:
    if value is not None and value.get_secret_value().lower() in EXAMPLE_PASSWORDS:
        raise BadInput(
            variable, f"{variable} is a password from an example that everybody knows; choose your own."
        )


def _check_exchange_variable(name: str, value: str) -> None:
    if name.endswith("_WEIGHT_PER_MINUTE"):
        if not value.isdecimal() or int(value) < 1:
            raise BadInput(name, f"{name} must be a whole number from 1, not {value!r}.", "a whole number from 1")
        return
    schemes = ("ws", "wss", "http", "https") if name.endswith("_WS_URL") else ("http", "https")
    if urlsplit(value).scheme not in schemes or not urlsplit(value).hostname:
        raise BadInput(name, f"{name} must be an address that starts with {schemes[-1]}://.", f"{schemes[-1]}://…")


def _check_weight(settings: "Settings", exchange: str) -> None:
    """Only somebody else than the exchange itself can allow more than the exchange states."""
    variable = f"{exchange.upper()}_WEIGHT_PER_MINUTE"
    if variable not in settings.exchange_variables:
        return
    one, weight = registry.get(exchange), settings.weight_per_minute(exchange)
    stated = one.limits.weight_per_minute
    if weight > stated and settings.rest_url(exchange) == one.rest_url:
        sentence = f"{variable} is {weight}, but {one.rest_url} allows {stated} a minute"
        raise BadInput(variable, f"{sentence}; more is for a proxy or a simulator of yours.", f"1 to {stated}")


def _check_listen_address(variable: str, address: str) -> None:
    if not (address == "localhost" or _is_address(address)):
        allowed = "an address of this machine such as 127.0.0.1, or 0.0.0.0 for all"
        raise BadInput(variable, f"{variable} must be {allowed}, not {address!r}.", allowed)


def _check_token(settings: "Settings") -> None:
    """What others can reach needs a token that they cannot guess."""
    token = settings.web_token.get_secret_value() if settings.web_token else ""
    if token and len(token) < SHORTEST_TOKEN:
        allowed = f"at least {SHORTEST_TOKEN} characters"
        raise BadInput("WEB_TOKEN", f"WEB_TOKEN must have {allowed}.", allowed)
    if not _TOKEN.fullmatch(token):
        allowed = "letters, digits and - . _ ~ + / ="
        raise BadInput("WEB_TOKEN", f"WEB_TOKEN may only have {allowed}.", allowed)
    if settings.public and not token:
        opened = "ALLOWED_HOSTS" if is_loopback(settings.bind_address) else f"BIND_ADDRESS {settings.bind_address}"
        sentence = f"{opened} lets others in, but WEB_TOKEN is not set"
        raise BadInput(
            "WEB_TOKEN", f"{sentence}: `candlehouse secrets` writes one into .env.", "a long random word"
        )


def _check_names(settings: "Settings") -> None:
    """Names of hosts and sites, and proxies' addresses, as requests will show them."""
    for name in settings.hosts:
        if not _HOST.fullmatch(name):
            allowed = "names such as candles.example.org, without scheme and port"
            raise BadInput("ALLOWED_HOSTS", f"ALLOWED_HOSTS must be {allowed}, not {name!r}.", allowed)
    for origin in settings.origins:
        if not _ORIGIN.fullmatch(origin):
            allowed = "sites such as https://app.example.org, without a path"
            raise BadInput("CORS_ORIGINS", f"CORS_ORIGINS must be {allowed}, not {origin!r}.", allowed)
    for proxy in settings.trusted_proxies.split(","):
        if not (_is_address(proxy.strip()) or _is_network(proxy.strip())):
            allowed = "addresses or networks such as 127.0.0.1,172.16.0.0/12"
            raise BadInput("TRUSTED_PROXIES", f"TRUSTED_PROXIES must be {allowed}, not {proxy!r}.", allowed)


def _check_clock(settings: "Settings") -> None:
    """Time may only run faster where nothing but this machine is asked for candles."""
    if settings.clock_rate == 1:
        return
    for exchange in settings.exchange_names:
        for url in (settings.rest_url(exchange), settings.ws_url(exchange)):
            if not is_loopback(urlsplit(url).hostname or ""):
                sentence = f"CLOCK_RATE must be 1 while {exchange} is asked at {urlsplit(url).hostname}"
                raise BadInput("CLOCK_RATE", f"{sentence}; other rates are for a simulator on this machine.", "1")


def is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
