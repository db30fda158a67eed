"""`EXCHANGES=binance,ccxt:kucoin` holds everywhere, and costs nothing where nobody asks KuCoin."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.roles import all_roles
from app.settings import Settings, load_settings
from app.wiring import known_exchanges
from celery_app.configuration import configuration, schedule
from common.errors import BadInput
from fetchers import registry
from scripts.docker import follow, sessions

ROOT = Path(__file__).parents[2]
SERVERS = {"DATABASE_URL": "postgresql://x:y@10.1.2.3/z", "REDIS_URL": "redis://:secret@10.1.2.3:6390/0"}


def load(tmp_path: Path, **environ: str) -> Settings:
    return load_settings({**SERVERS, "DATA_DIR": str(tmp_path), **environ}, tmp_path / "none")


def test_each_part_of_the_program_knows_the_exchange_by_its_plain_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(tmp_path, EXCHANGES="binance,ccxt:kucoin")
    assert settings.exchange_names == settings.streaming == ("binance", "kucoin")
    assert known_exchanges(settings) == (*registry.names(), "kucoin")
    commands = [" ".join(role.command) for role in all_roles(settings, {})]
    assert sum("-Q kucoin_rest" in one for one in commands) == 1
    assert sum("--exchange kucoin" in one for one in commands) == 1
    assert schedule(settings)["reconcile kucoin"]["options"]["queue"] == "kucoin_rest"
    assert "kucoin" in sessions.shown(settings)
    for name, value in {**SERVERS, "EXCHANGES": "ccxt:kucoin", "DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    assert "kucoin_rest" in {queue.name for queue in configuration()["task_queues"]}


def test_its_addresses_and_limit_are_settings_like_all_others(tmp_path: Path) -> None:
    given = {"KUCOIN_REST_URL": "http://here:1", "KUCOIN_WS_URL": "ws://here:2", "KUCOIN_WEIGHT_PER_MINUTE": "7"}
    settings = load(tmp_path, EXCHANGES="ccxt:kucoin", **given)
    found = settings.rest_url("kucoin"), settings.ws_url("kucoin"), settings.weight_per_minute("kucoin")
    assert found == ("http://here:1", "ws://here:2", 7)
    own = load(tmp_path, EXCHANGES="ccxt:kucoin")
    assert (own.rest_url("kucoin"), own.ws_url("kucoin")) == ("https://api.kucoin.com", "https://api.kucoin.com")
    (tmp_path / ".env").write_text("KUCOIN_REST_URL=http://here:1\n")
    in_file = load_settings({**SERVERS, "DATA_DIR": str(tmp_path)}, tmp_path / ".env")
    assert in_file.rest_url("kucoin") == "http://here:1", "a name that is one is no slip of another"


def test_no_more_is_asked_than_ccxt_asks_but_at_another_address(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"_MINUTE is 4001, but https://api.kucoin.com allows 4000 a minute"):
        load(tmp_path, EXCHANGES="ccxt:kucoin", KUCOIN_WEIGHT_PER_MINUTE="4001")


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("ccxt:binance", "EXCHANGES: binance has an adapter of its own: say binance, not ccxt:binance."),
        (
            "ccxt:mtgox",
            f"EXCHANGES names 'ccxt:mtgox', which is unknown; choose from {', '.join(registry.names())},"
            " or ccxt:NAME for another that ccxt knows.",
        ),
    ],
)
def test_a_name_that_cannot_be_is_one_sentence(tmp_path: Path, named: str, sentence: str) -> None:
    with pytest.raises(BadInput) as error:
        load(tmp_path, EXCHANGES=named)
    assert (error.value.field, str(error.value)) == ("EXCHANGES", sentence)


def test_while_the_market_is_simulated_the_real_one_is_not_asked(tmp_path: Path) -> None:
    environ = {"DATA_DIR": str(tmp_path), "SIMULATOR_PORT": "9", "EXCHANGES": "binance,ccxt:kucoin"}
    settings = load_settings(environ, tmp_path / "none", demo=True)
    assert (settings.rest_url("kucoin"), settings.ws_url("kucoin")) == ("http://127.0.0.1:9/kucoin",) * 2


def test_an_exchange_without_a_websocket_is_fetched_and_not_streamed(tmp_path: Path) -> None:
    settings = load(tmp_path, EXCHANGES="ccxt:bigone,binance")
    assert (settings.exchange_names, settings.streaming) == (("bigone", "binance"), ("binance",))
    told = (
        "bigone is silent: ccxt streams nothing of bigone that is understood here, so only its history can be had."
    )
    assert follow.why_silent("bigone", settings.exchange_names) == told


def test_supervisor_and_page_do_not_import_ccxt(tmp_path: Path) -> None:
    program = """
import sys
from app.settings import load_settings
from app.roles import all_roles
from app.wiring import known_exchanges
from celery_app.configuration import schedule
import scripts.cli, web.main
settings = load_settings(dotenv="/nowhere")
all_roles(settings, {}), known_exchanges(settings), schedule(settings)
print("ccxt" in sys.modules)
"""
    environ = {**SERVERS, "DATA_DIR": str(tmp_path), "EXCHANGES": "binance,ccxt:kucoin", "PATH": ""}
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False\n"
