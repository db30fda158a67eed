"""Every setting, where it comes from, and what it may be; the only module that reads the environment.

A value is looked for in this order, and the first place that has it wins:

1. the environment,
2. the running instance's file under DATA_DIR, for what its terminals must share (the demo's exchange addresses),
3. the file `.env`,
4. the default below.

A secret may also stand in a file that the variable NAME_FILE names.

A connection is looked for in this order: DATABASE_URL / REDIS_URL, then POSTGRES_* / REDIS_*, then COMMON_HOST,
then the embedded servers of the running instance. An environment that names other servers than the instance's
is on its own: then nothing is taken from a running demo, so simulated candles never reach a real database.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import AliasGenerator, Field, SecretStr, ValidationError
from pydantic_settings import PydanticBaseSettingsSource, SettingsConfigDict

from app import running
from app.settings_checks import COMPOSE_ONLY, EGRESS, RETAINED, check, refuse_unknown, sentence_of
from app.settings_exchanges import EXCHANGE_SUFFIXES, variables, variables_of_ccxt
from app.settings_secrets import FILES, at_database, login, with_files, with_password
from app.settings_shared import is_elsewhere, shared_environment
from app.settings_simulated import DEMO_EXCHANGES, simulated
from app.settings_values import MAJORS, Level, Port, Ports, Positive, Url
from app.settings_web import WebSettings
from common.errors import BadInput
from fetchers import registry

CONNECTIONS = ("DATABASE_URL", "REDIS_URL", "POSTGRES_HOST", "REDIS_HOST", "COMMON_HOST")


class Settings(WebSettings):
    """A variable's name is the attribute's in upper case; `load_settings` makes these."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=AliasGenerator(validation_alias=str.upper),
        hide_input_in_errors=True,
    )

    connection_url: Url = Field(None, validation_alias="DATABASE_URL")
    cache_url: Url = Field(None, validation_alias="REDIS_URL")
    common_host: str = ""
    postgres_host: str = ""
    postgres_port: Port | None = None
    postgres_user: str = "postgres"
    postgres_password: SecretStr | None = None
    postgres_db: str = "postgres"
    redis_host: str = ""
    redis_port: Port | None = None
    redis_user: str = "default"
    redis_password: SecretStr | None = None

    celery_port: Port = 5566
    simulator_port: Port = 9900
    simulator_host: str = "127.0.0.1"
    metrics_ports: Ports = "9310-9399"
    data_dir: Path = Path("local_data")
    database_disk: str = ""
    log_dir: Path = Path("logs")
    log_level: Level = "INFO"

    market: Annotated[Literal["real", "simulated"], Field(description="real or simulated")] = "real"
    exchanges: str = "binance,bitfinex"
    symbols: str = MAJORS
    clock_rate: Annotated[float, Field(gt=0, le=10_000, description="a number above 0 and up to 10000")] = 1
    clock_anchor_ms: Annotated[int, Field(ge=0, description="UTC milliseconds")] = 0

    #: A stated limit is never used to its end, for what others do at the same address is not known in time.
    budget_share: Annotated[float, Field(gt=0, le=0.8, description="a number above 0 and up to 0.8")] = 0.8
    egress_address: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:_-]*$", description=EGRESS)] = ""
    first_fill_hours: Annotated[int, Field(ge=0, le=24 * 366, description="hours from 0 to 8784")] = 24
    retain_minutes_days: Annotated[int, Field(ge=0, le=36_500, description=RETAINED)] = 0
    reconcile_every_s: Annotated[int, Field(ge=10, description="seconds from 10")] = 300
    reconcile_minutes: Positive = 15
    fetch_concurrency: Positive = 4
    update_batch: Annotated[int, Field(ge=1, le=100_000, description="a whole number from 1 to 100000")] = 5000

    #: Not variables themselves: {EXCHANGE}_REST_URL and so on, as found, and what runs under `data_dir`, if any.
    exchange_variables: dict[str, str] = Field(default_factory=dict, repr=False)
    instance: running.Running | None = Field(None, repr=False)

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        """`load_settings` merges the sources itself, since the running instance stands between two of them."""
        return (sources["init_settings"],)

    @property
    def exchange_names(self) -> tuple[str, ...]:
        """The names that everything of an exchange is kept under: `kucoin` for `ccxt:kucoin`."""
        return tuple(registry.name_of(name.strip().lower()) for name in self.exchanges.split(",") if name.strip())

    @property
    def streaming(self) -> tuple[str, ...]:
        """Those of `exchange_names` that can be live: a closed one only at another address, a simulator's."""
        adapters = [registry.get(name) for name in self.exchange_names if not registry.why_no_live(name)]
        return tuple(one.name for one in adapters if not one.closed or self.ws_url(one.name) != one.ws_url)

    def rest_url(self, exchange: str) -> str:
        return self._of_exchange(exchange, "_REST_URL") or registry.get(exchange).rest_url

    def ws_url(self, exchange: str) -> str:
        return self._of_exchange(exchange, "_WS_URL") or registry.get(exchange).ws_url

    def weight_per_minute(self, exchange: str) -> int:
        """The exchange's limit as overridden, or as its adapter states it; before BUDGET_SHARE."""
        text = self._of_exchange(exchange, "_WEIGHT_PER_MINUTE")
        return int(text) if text else registry.get(exchange).limits.weight_per_minute

    def _of_exchange(self, exchange: str, suffix: str) -> str:
        return self.exchange_variables.get(exchange.upper() + suffix, "")

    @property
    def external_database(self) -> bool:
        return bool(self.connection_url or self.postgres_host or self.common_host)

    @property
    def external_redis(self) -> bool:
        return bool(self.cache_url or self.redis_host or self.common_host)

    @property
    def database_url(self) -> str:
        """`postgresql://…`, password included."""
        if self.connection_url:
            return "postgresql://" + with_password(self.connection_url, self.postgres_password).split("://", 1)[1]
        if host := self.postgres_host or self.common_host:
            name = f"{host}:{self.postgres_port or 5432}/{self.postgres_db}"
            return f"postgresql://{login('POSTGRES', self.postgres_user, self.postgres_password)}@{name}"
        if self.instance and self.instance.postgres:
            return self.instance.postgres.url("postgresql")
        raise BadInput("DATABASE_URL", self._nothing_runs("DATABASE_URL"))

    @property
    def redis_url(self) -> str:
        """Database 0: the candles."""
        return self._redis_url(0)

    @property
    def celery_broker_url(self) -> str:
        """Database 1: Celery's messages."""
        return self._redis_url(1)

    def _redis_url(self, database: int) -> str:
        if self.cache_url:
            return at_database(with_password(self.cache_url, self.redis_password), database)
        if host := self.redis_host or self.common_host:
            name = login("REDIS", self.redis_user, self.redis_password)
            return f"redis://{name}@{host}:{self.redis_port or 6379}/{database}"
        if self.instance and self.instance.redis:
            return at_database(self.instance.redis.url("redis"), database)
        raise BadInput("REDIS_URL", self._nothing_runs("REDIS_URL"))

    def _nothing_runs(self, variable: str) -> str:
        return (
            f"Nothing runs under {self.data_dir}: start it with `make up`, or set {variable} to a server of yours."
        )


def load_settings(
    environ: Mapping[str, str] | None = None,
    dotenv: str | Path = ".env",
    *,
    demo: bool = False,
    simulator: bool = False,
) -> Settings:
    """Raise BadInput, naming the variable and what is allowed, when a value cannot be.

    `simulator`: start with every exchange at the simulator's address; `demo`: so, and on servers of its own.
    """
    given = with_files(
        {name: value for name, value in (os.environ if environ is None else environ).items() if value}
    )
    written = with_files({name: value for name, value in dotenv_values(dotenv).items() if value})
    refuse_unknown(written, [*known_variables(), *variables_of_ccxt(), *FILES, *COMPOSE_ONLY], dotenv)
    data_dir = Path(given.get("DATA_DIR") or written.get("DATA_DIR") or "local_data").absolute()
    instance = running.alive(data_dir)
    on_its_own = demo or any(is_elsewhere(given, name, instance) for name in CONNECTIONS)
    if instance and instance.demo and on_its_own:
        instance = None
    merged = {**written, **(instance.environment if instance and not on_its_own else {}), **given}
    if demo or (instance and instance.demo):
        merged = {name: value for name, value in merged.items() if name not in CONNECTIONS}
    if demo or simulator:
        found = _validated({**merged, "CLOCK_RATE": "1"}, None, data_dir)
        merged = {"EXCHANGES": DEMO_EXCHANGES} | merged
        merged |= simulated(found.simulator_host, found.simulator_port, found.exchange_names)
    return _validated(merged, instance, data_dir)


def child_environment(settings: Settings) -> dict[str, str]:
    """All that a role needs: what we were given, and what we found out, the servers' passwords included."""
    found = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "DATA_DIR": str(settings.data_dir),
        "LOG_DIR": str(settings.log_dir),
        "PYTHONUNBUFFERED": "1",
    }
    return {**os.environ, **shared_environment(settings), **found}


def given_environment() -> dict[str, str]:
    """What we were given, for a program that a person runs through us."""
    return dict(os.environ)


def known_variables() -> list[str]:
    """Every name that means something here, in the order of Settings."""
    fields = [str(field.validation_alias) for field in Settings.model_fields.values()]
    own = [name for name in fields if name not in ("EXCHANGE_VARIABLES", "INSTANCE")]
    return own + variables()


def _validated(merged: dict[str, str], instance: running.Running | None, data_dir: Path) -> Settings:
    own = {*known_variables(), *variables_of_ccxt()}
    values: dict[str, Any] = {name: value for name, value in merged.items() if name in own}
    values["EXCHANGE_VARIABLES"] = {n: v for n, v in values.items() if n.endswith(EXCHANGE_SUFFIXES)}
    values |= {"INSTANCE": instance, "DATA_DIR": data_dir}
    values["LOG_DIR"] = Path(values.get("LOG_DIR", "logs")).absolute()
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise sentence_of(error, Settings, values) from None
    check(settings)
    return settings
