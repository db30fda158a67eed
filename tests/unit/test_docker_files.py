"""The container's files agree with the program and with each other."""

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import known_variables, load_settings
from app.settings_checks import COMPOSE_ONLY, EXAMPLE_PASSWORDS
from common.errors import Retryable
from scripts.docker import follow, sessions
from scripts.docker.init_log import InitLog

ROOT = Path(__file__).parents[2]
#: Known to the program, and yet not for a container of Compose to be told.
NOT_IN_COMPOSE = {
    *("COMMON_HOST", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "REDIS_USER", "WEB_TOKEN"),  # secrets go by files
    *("WEB_PORT", "CELERY_PORT", "SIMULATOR_PORT", "DATA_DIR", "LOG_DIR"),  # the same in every container
    *("CLOCK_RATE", "CLOCK_ANCHOR_MS", "MARKET"),  # the simulator's service decides
}


@pytest.fixture
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def test_every_setting_reaches_the_containers_or_is_left_out_on_purpose(compose: dict[str, Any]) -> None:
    given = {name for name in compose["x-settings"] if not name.endswith("_FILE")}
    assert given == set(known_variables()) - NOT_IN_COMPOSE


def test_every_variable_of_the_compose_file_is_a_documented_one() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    used = set(re.findall(r"(?:\$\{|environment: )([A-Z_]+)", text)) - {"COMPOSE_PROJECT_NAME"}
    assert set(COMPOSE_ONLY) <= used
    assert used <= {*known_variables(), *COMPOSE_ONLY}


def test_only_the_services_of_no_profile_start_by_themselves(compose: dict[str, Any]) -> None:
    always = {name for name, service in compose["services"].items() if "profiles" not in service}
    assert always == {"coin-psql", "coin-redis", "coin-app", "coin-heal"}


def test_every_started_service_is_restarted_limited_and_logs_within_bounds(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if service.get("profiles") == ["never"]:
            continue
        assert service["restart"] in ("unless-stopped", "on-failure"), name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}, name


def test_ports_are_published_where_bind_address_says(compose: dict[str, Any]) -> None:
    services = compose["services"]
    # Prometheus knows no password, so nobody else may ask it.
    assert services["prometheus"].pop("ports") == ["127.0.0.1:${PROMETHEUS_PORT:-9090}:9090"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports and [port for port in ports if not port.startswith("${BIND_ADDRESS:-127.0.0.1}:")] == []


def test_no_secret_is_given_by_the_environment(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if service.get("profiles") != ["never"]:
            told = service.get("environment") or {}
            assert [key for key in told if re.search(r"(PASSWORD|TOKEN)$", key)] == [], name


def test_example_passwords_are_the_same_to_the_servers_and_to_the_program() -> None:
    listed = re.search(r"^examples='([^']*)'", (ROOT / "scripts/docker/secret.sh").read_text(), re.M)
    assert listed and set(listed[1].split()) == EXAMPLE_PASSWORDS


def test_nothing_enters_the_image_unnamed() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert [line for line in lines if line and line[0] not in "#!"] == ["*", "**/__pycache__", "**/.env"]


def secrets(folder: Path, **environ: str) -> str:
    (folder / "scripts").mkdir(exist_ok=True)
    shutil.copy(ROOT / "scripts/secrets.sh", folder / "scripts")
    if not (folder / ".example_env").exists():
        shutil.copy(ROOT / ".example_env", folder)
    given = {"PATH": os.environ["PATH"], "DOCKER_HOST": "tcp://elsewhere", **environ}
    return subprocess.run(
        ["sh", "scripts/secrets.sh"], cwd=folder, env=given, capture_output=True, text=True, check=True
    ).stdout


def values(folder: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", (folder / ".env").read_text(), re.M))


def test_a_new_env_has_long_random_secrets_for_its_owner_alone(tmp_path: Path) -> None:
    said = secrets(tmp_path)
    found = values(tmp_path)
    names = ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "WEB_TOKEN", "GRAFANA_PASSWORD"]
    assert list(found) == names
    assert len(set(found.values())) == 4
    assert [value for value in found.values() if not re.fullmatch("[0-9a-f]{48}", value)] == []
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert said == f"Wrote {' '.join(names)} into .env, which only you can read.\n"


def test_what_env_says_already_is_kept_and_only_what_lacks_is_written(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nREDIS_PASSWORD=chosen by me\nPOSTGRES_PASSWORD=\nEXCHANGES=binance\n")
    said = secrets(tmp_path)
    found = values(tmp_path)
    assert found["REDIS_PASSWORD"] == "chosen by me" and found["EXCHANGES"] == "binance"
    assert (tmp_path / ".env").read_text().startswith("# mine\nREDIS_PASSWORD=chosen by me\nEXCHANGES=binance\n")
    assert said == "Wrote POSTGRES_PASSWORD WEB_TOKEN GRAFANA_PASSWORD into .env, which only you can read.\n"
    before = (tmp_path / ".env").read_text()
    assert secrets(tmp_path) == "Every secret stands in .env already; nothing was changed.\n"
    assert (tmp_path / ".env").read_text() == before


def test_the_engines_socket_is_written_once_and_stays_away_where_somebody_emptied_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(tmp_path / "engine.sock"))
        secrets(tmp_path, DOCKER_HOST=f"unix://{tmp_path}/engine.sock")
        assert values(tmp_path)["DOCKER_SOCKET"] == f"{tmp_path}/engine.sock"
        file = tmp_path / ".env"
        file.write_text(re.sub("(?m)^DOCKER_SOCKET=.*$", "DOCKER_SOCKET=", file.read_text()))
        secrets(tmp_path, DOCKER_HOST=f"unix://{tmp_path}/engine.sock")
        assert values(tmp_path)["DOCKER_SOCKET"] == ""


def test_a_container_told_to_run_what_there_is_not_says_so() -> None:
    command = [sys.executable, "-m", "scripts.docker.start", "streams"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (
        2,
        "There is nothing to run of the kind 'streams'; choose from stream, update, worker, beat, web, flower.\n",
    )


def test_tmux_makes_the_five_sessions_and_a_pane_for_each_exchange_of_the_settings(tmp_path: Path) -> None:
    settings = load_settings({"DATA_DIR": str(tmp_path), "EXCHANGES": "okx,binance"}, tmp_path / "none")
    made = sessions.configuration(Path("/logs"), sessions.shown(settings), Path("/tmux.conf"))
    assert re.findall(r"new-session -d -s (\w+)", made) == ["psql", "redis", "fetch", "web", "celery"]
    assert re.findall(r"scripts\.docker\.follow (\w+)", made) == ["binance", "bitfinex", "bittrex", "okx"]
    assert "PASSWORD" not in made and "://" not in made


def test_a_silent_exchange_says_why() -> None:
    assert follow.why_silent("bittrex", ("binance",)) == (
        "bittrex is silent: Bittrex closed on 4 December 2023; "
        "its adapter runs against recordings and the simulator only."
    )
    assert follow.why_silent("bitfinex", ("binance",)) == (
        "bitfinex is silent: EXCHANGES in .env names binance. Add it there to stream it."
    )


def test_init_log_tells_what_became_true_and_why_something_did_not(tmp_path: Path) -> None:
    told = InitLog(tmp_path)
    with told.telling("Redis is ready to connect", "Cannot connect to Redis"):
        pass
    with pytest.raises(Retryable), told.telling("Redis is ready to connect", "Cannot connect to Redis"):
        raise Retryable("Redis does not serve: refused")
    lines = (tmp_path / "init.log").read_text().splitlines()
    form = r"- \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d - "
    assert [re.sub(f"^{form}", "", line, count=1) for line in lines] == [
        "Redis is ready to connect",
        "Cannot connect to Redis: Redis does not serve: refused",
    ]
