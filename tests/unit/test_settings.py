"""Settings: where each comes from, which place wins, and what is said to a wrong one."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app import running
from app.running import Running, Server
from app.settings import Settings, child_environment, known_variables, load_settings
from app.settings_checks import COMPOSE_ONLY
from common.errors import BadInput
from fetchers import registry

ROOT = Path(__file__).parents[2]
KNOWN = registry.choices()
PASSWORDS = {"POSTGRES_PASSWORD": "pg-word", "REDIS_PASSWORD": "redis-word"}


def load(tmp_path: Path, environ: dict[str, str] | None = None, dotenv: str = "") -> Settings:
    (tmp_path / ".env").write_text(dotenv)
    return load_settings({"DATA_DIR": str(tmp_path), **(environ or {})}, tmp_path / ".env")


@pytest.fixture
def instance(tmp_path: Path) -> Running:
    """A running demo whose supervisor is this test's own process."""
    for name in ("postgres", "redis"):
        (tmp_path / f"{name}.password").write_text(f"own-{name}\n")
    state = Running(
        running.this_process(),
        demo=True,
        web_url="http://127.0.0.1:8000",
        data_dir=tmp_path,
        environment={"BINANCE_REST_URL": "http://127.0.0.1:9900/binance", "EXCHANGES": "binance"},
        postgres=Server("127.0.0.1", 5433, "candlehouse", "candlehouse", tmp_path / "postgres.password"),
        redis=Server("127.0.0.1", 6380, "default", "0", tmp_path / "redis.password"),
    )
    running.write(tmp_path, state)
    return state


@pytest.mark.parametrize(
    ("environ", "database", "redis"),
    [
        (
            {"DATABASE_URL": "postgres://a:b@one/x", "POSTGRES_HOST": "two", "COMMON_HOST": "three", **PASSWORDS},
            "postgresql://a:b@one/x",
            "redis://default:redis-word@three:6379/0",
        ),
        (
            {"POSTGRES_HOST": "two", "POSTGRES_PORT": "6", "COMMON_HOST": "three", **PASSWORDS},
            "postgresql://postgres:pg-word@two:6/postgres",
            "redis://default:redis-word@three:6379/0",
        ),
        (
            {"COMMON_HOST": "three", "REDIS_HOST": "four", "REDIS_USER": "u", "REDIS_PORT": "7", **PASSWORDS},
            "postgresql://postgres:pg-word@three:5432/postgres",
            "redis://u:redis-word@four:7/0",
        ),
        (
            {"COMMON_HOST": "h", "POSTGRES_USER": "u/1", "POSTGRES_PASSWORD": "p@ss/w", "POSTGRES_DB": "d"}
            | {"REDIS_URL": "rediss://:x@five:1/9"},
            "postgresql://u%2F1:p%40ss%2Fw@h:5432/d",
            "rediss://:x@five:1/0",
        ),
    ],
)
def test_a_connection_comes_from_its_url_then_its_parts_then_the_common_host(
    tmp_path: Path, environ: dict[str, str], database: str, redis: str
) -> None:
    settings = load(tmp_path, environ)
    assert (settings.database_url, settings.redis_url) == (database, redis)
    assert settings.celery_broker_url == redis.removesuffix("/0") + "/1"


def test_a_connection_comes_last_from_the_running_instance(tmp_path: Path, instance: Running) -> None:
    settings = load(tmp_path)
    assert settings.database_url == "postgresql://candlehouse:own-postgres@127.0.0.1:5433/candlehouse"
    assert settings.celery_broker_url == "redis://default:own-redis@127.0.0.1:6380/1"


def test_the_environment_wins_over_the_running_instance_over_the_file_over_the_default(
    tmp_path: Path, instance: Running
) -> None:
    dotenv = "BINANCE_REST_URL=http://from.file\nEXCHANGES=bitfinex\nWEB_PORT=9001\nUPDATE_BATCH=7\n"
    settings = load(tmp_path, {"WEB_PORT": "9002", "LOG_LEVEL": ""}, dotenv)
    assert settings.rest_url("binance") == "http://127.0.0.1:9900/binance"
    assert (settings.exchange_names, settings.web_port, settings.update_batch) == (("binance",), 9002, 7)
    assert (settings.log_level, settings.fetch_concurrency) == ("INFO", 4)


def test_an_environment_that_names_a_database_takes_nothing_from_a_running_demo(
    tmp_path: Path, instance: Running
) -> None:
    settings = load(tmp_path, {"DATABASE_URL": "postgresql://a:b@real/x"})
    assert (settings.rest_url("binance"), settings.instance) == ("https://api.binance.com", None)


def test_a_running_demo_is_never_mixed_with_the_database_of_the_file(tmp_path: Path, instance: Running) -> None:
    assert "127.0.0.1:5433" in load(tmp_path, dotenv="DATABASE_URL=postgresql://a:b@real/x\n").database_url


def test_a_dead_supervisor_lends_nothing(tmp_path: Path, instance: Running) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    running.write(tmp_path, Running(running.Process(dead.pid, 1), True, "", tmp_path))
    with pytest.raises(BadInput, match="Nothing runs under"):
        _ = load(tmp_path).database_url


def test_a_demo_asks_the_simulator_for_everything(tmp_path: Path) -> None:
    settings = load_settings(
        {"DATA_DIR": str(tmp_path), "SIMULATOR_PORT": "9", "DATABASE_URL": "postgresql://a:b@real/x"},
        tmp_path / "none",
        demo=True,
    )
    found = settings.exchange_variables
    names = [f"{name.upper()}_{kind}_URL" for name in registry.names() for kind in ("REST", "WS")]
    assert sorted(found) == sorted([*names, "BINANCE_ARCHIVE_URL"])
    assert (
        found.items()
        >= {
            "BINANCE_REST_URL": "http://127.0.0.1:9/binance",
            "BINANCE_WS_URL": "ws://127.0.0.1:9/binance",
            "BITFINEX_REST_URL": "http://127.0.0.1:9/bitfinex",
            "BITFINEX_WS_URL": "ws://127.0.0.1:9/bitfinex/ws/2",
            "BITTREX_REST_URL": "http://127.0.0.1:9/bittrex/v3",
            "BITTREX_WS_URL": "ws://127.0.0.1:9/bittrex/signalr",
            "BINANCE_ARCHIVE_URL": "http://127.0.0.1:9/binance/archive",
        }.items()
    )
    assert (settings.streaming, settings.external_database) == (("binance", "bitfinex", "bittrex"), False)


def test_a_closed_exchange_is_not_streamed_from_its_own_address(tmp_path: Path) -> None:
    assert load(tmp_path, {"EXCHANGES": "bittrex,binance"}).streaming == ("binance",)


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"WEB_PORT": "web"}, "WEB_PORT must be a port from 1 to 65535, not 'web'."),
        ({"POSTGRES_PORT": "70000"}, "POSTGRES_PORT must be a port from 1 to 65535, not '70000'."),
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR, not 'LOUD'."),
        ({"BUDGET_SHARE": "0.81"}, "BUDGET_SHARE must be a number above 0 and up to 0.8, not '0.81'."),
        (
            {"EGRESS_ADDRESS": "my host"},
            "EGRESS_ADDRESS must be an address or a name, of letters, digits and . : _ -, not 'my host'.",
        ),
        (
            {"BINANCE_WEIGHT_PER_MINUTE": "6001"},
            "BINANCE_WEIGHT_PER_MINUTE is 6001, but https://api.binance.com allows 6000 a minute;"
            " more is for a proxy or a simulator of yours.",
        ),
        ({"RETAIN_MINUTES_DAYS": "7"}, "RETAIN_MINUTES_DAYS must be 0, or days from 8 to 36500, not '7'."),
        ({"RETAIN_MINUTES_DAYS": "-1"}, "RETAIN_MINUTES_DAYS must be 0, or days from 8 to 36500, not '-1'."),
        (
            {"EXCHANGES": "mtgox"},
            f"EXCHANGES names 'mtgox', which is unknown; choose from {KNOWN}.",
        ),
        ({"EXCHANGES": ","}, f"EXCHANGES names no exchange; choose from {KNOWN}."),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL must look like postgresql://user:password@host:port/name."),
        ({"REDIS_URL": "six"}, "REDIS_URL must look like redis://user:password@host:port/name."),
        (
            {"REDIS_URL": "redis://u:p/w@h:1"},
            "REDIS_URL must look like redis://user:password@host:port/name; "
            "in a password write / as %2F and @ as %40.",
        ),
        (
            {"POSTGRES_PASSWORD": "icecreamyummy"},
            "POSTGRES_PASSWORD is a password from an example that everybody knows; choose your own.",
        ),
        (
            {"BIND_ADDRESS": "999.1"},
            "BIND_ADDRESS must be an address of this machine such as 127.0.0.1, or 0.0.0.0 for all, not '999.1'.",
        ),
        ({"BINANCE_REST_URL": "x"}, "BINANCE_REST_URL must be an address that starts with https://."),
        ({"BITTREX_WEIGHT_PER_MINUTE": "0"}, "BITTREX_WEIGHT_PER_MINUTE must be a whole number from 1, not '0'."),
        (
            {"CLOCK_RATE": "60"},
            "CLOCK_RATE must be 1 while binance is asked at api.binance.com; "
            "other rates are for a simulator on this machine.",
        ),
    ],
)
def test_a_wrong_value_gets_one_sentence_that_names_the_variable(
    tmp_path: Path, environ: dict[str, str], sentence: str
) -> None:
    with pytest.raises(BadInput) as error:
        load(tmp_path, environ)
    assert (error.value.field, str(error.value)) == (next(iter(environ)), sentence)


def test_symbols_are_checked_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        load(tmp_path, {"SYMBOLS": "::::"})
    assert error.value.field == "SYMBOLS"


def test_a_slip_in_the_file_gets_the_right_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^WEB_PROT in .* is not a setting; did you mean WEB_PORT\?$"):
        load(tmp_path, dotenv="WEB_PROT=1\nCOMPOSE_PROJECT_NAME=other\n")


def test_a_host_without_its_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="POSTGRES_HOST or COMMON_HOST is set but POSTGRES_PASSWORD is not"):
        _ = load(tmp_path, {"COMMON_HOST": "h"}).database_url


def test_time_runs_faster_only_for_exchanges_on_this_machine(tmp_path: Path) -> None:
    environ = {"EXCHANGES": "binance", "CLOCK_RATE": "60", "CLOCK_ANCHOR_MS": "1700000000000"}
    local = {"BINANCE_REST_URL": "http://[::1]:9900/binance", "BINANCE_WS_URL": "ws://localhost:9900/binance"}
    assert load(tmp_path, environ | local).clock_rate == 60


def test_no_secret_shows_when_settings_are_printed(tmp_path: Path) -> None:
    secrets = {
        "DATABASE_URL": "postgresql://a:hidden@h/x",
        "REDIS_URL": "redis://:hidden@h",
        "REDIS_PASSWORD": "hidden",
    }
    settings = load(tmp_path, secrets)
    assert "hidden" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_a_role_is_told_everything_it_needs(tmp_path: Path, instance: Running) -> None:
    told = child_environment(load(tmp_path))
    assert load_settings(told, tmp_path / "none").database_url == load(tmp_path).database_url
    assert told["BINANCE_REST_URL"] == "http://127.0.0.1:9900/binance"


def test_every_setting_is_documented_with_its_default() -> None:
    written = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".example_env").read_text(), re.M))
    assert list(written) and set(written) == {*known_variables(), *COMPOSE_ONLY}
    defaults = {
        str(field.validation_alias): str(field.default)
        for field in Settings.model_fields.values()
        if str(field.validation_alias) in written and field.default is not None
    }
    assert {name: written[name] for name in defaults} == defaults


def test_the_example_holds_no_password() -> None:
    assert re.findall(r"^#?\w*PASSWORD=.+$", (ROOT / ".example_env").read_text(), re.M) == []


def test_the_predecessors_names_are_known() -> None:
    names = (
        "POSTGRES_HOST POSTGRES_PORT POSTGRES_PASSWORD REDIS_HOST REDIS_PORT REDIS_PASSWORD WEB_PORT CELERY_PORT"
    )
    assert {*names.split(), "COMMON_HOST"} <= set(known_variables())


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("from-file\n")
    found = load(tmp_path, {"POSTGRES_HOST": "db", "POSTGRES_PASSWORD_FILE": str(tmp_path / "word")})
    assert found.database_url == "postgresql://postgres:from-file@db:5432/postgres"


def test_the_variable_wins_over_its_file_and_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("from-file")
    (tmp_path / "empty").write_text("\n")
    files = {"POSTGRES_PASSWORD_FILE": str(tmp_path / "word"), "DATABASE_URL_FILE": str(tmp_path / "empty")}
    found = load(tmp_path, {"POSTGRES_HOST": "db", "POSTGRES_PASSWORD": "given", **files})
    assert found.database_url == "postgresql://postgres:given@db:5432/postgres"


def test_a_secret_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"^WEB_TOKEN_FILE names /nowhere, which cannot be read: No such file"
    ) as told:
        load(tmp_path, {"WEB_TOKEN_FILE": "/nowhere"})
    assert told.value.field == "WEB_TOKEN_FILE"


def test_an_address_without_a_password_gets_the_one_that_is_set(tmp_path: Path) -> None:
    password = {"POSTGRES_PASSWORD": "p@ss/word"}
    found = load(tmp_path, {"DATABASE_URL": "postgres://me@db:6/candles", **password})
    assert found.database_url == "postgresql://me:p%40ss%2Fword@db:6/candles"
    kept = load(tmp_path, {"DATABASE_URL": "postgres://me:own@db:6/candles", **password})
    assert kept.database_url == "postgresql://me:own@db:6/candles"
    cache = load(tmp_path, {"REDIS_URL": "rediss://me@cache:7", "REDIS_PASSWORD": "p@ss/word"})
    assert cache.redis_url == "rediss://me:p%40ss%2Fword@cache:7/0"


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.4"])
def test_what_others_can_reach_needs_a_token(tmp_path: Path, address: str) -> None:
    with pytest.raises(BadInput) as told:
        load(tmp_path, {"BIND_ADDRESS": address})
    assert str(told.value) == (
        f"BIND_ADDRESS {address} lets others in, but WEB_TOKEN is not set: "
        "`candlehouse secrets` writes one into .env."
    )
    found = load(tmp_path, {"BIND_ADDRESS": address, "WEB_TOKEN": "a-word-long-enough"})
    assert (found.public, found.listen) == (True, address)


def test_a_container_listens_to_all_and_yet_lets_nobody_else_in(tmp_path: Path) -> None:
    found = load(tmp_path, {"LISTEN_ADDRESS": "0.0.0.0"})
    assert (found.public, found.listen, found.bind_address) == (False, "0.0.0.0", "127.0.0.1")


def test_a_short_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^WEB_TOKEN must have at least 16 characters\.$"):
        load(tmp_path, {"WEB_TOKEN": "short"})


@pytest.mark.parametrize("sign", [",", " ", "é", ":", '"'])
def test_a_token_has_no_sign_that_a_header_or_flower_would_read_otherwise(tmp_path: Path, sign: str) -> None:
    with pytest.raises(BadInput) as told:
        load(tmp_path, {"WEB_TOKEN": f"a-word-long{sign}enough"})
    assert str(told.value) == "WEB_TOKEN may only have letters, digits and - . _ ~ + / =."
    assert load(tmp_path, {"WEB_TOKEN": "aZ09-._~+/aZ09=="}).web_token


def test_a_simulated_market_may_stand_on_servers_that_were_named(tmp_path: Path) -> None:
    environ = {"DATA_DIR": str(tmp_path), "POSTGRES_HOST": "db", "SIMULATOR_HOST": "sim", **PASSWORDS}
    found = load_settings(environ, tmp_path / ".env", simulator=True)
    assert (found.market, found.postgres_host, found.exchanges) == ("simulated", "db", "binance,bitfinex,bittrex")
    assert found.rest_url("bittrex") == "http://sim:9900/bittrex/v3"


def test_another_terminal_on_the_same_servers_shares_the_simulated_market(
    tmp_path: Path, instance: Running
) -> None:
    same = {"POSTGRES_HOST": "db", "REDIS_HOST": "cache"}
    running.write(tmp_path, replace(instance, demo=False, postgres=None, redis=None, connections=same))
    assert load(tmp_path, {**same, **PASSWORDS}).rest_url("binance") == "http://127.0.0.1:9900/binance"
    other = load(tmp_path, {**same, "POSTGRES_HOST": "other", **PASSWORDS})
    assert other.rest_url("binance") == "https://api.binance.com"
