"""The exchanges are the files of one folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import BadInput
from fetchers import registry

ROOT = Path(__file__).parents[2]


def test_the_registry_is_the_folder_listing() -> None:
    files = sorted(path.stem for path in (ROOT / "fetchers/exchanges").glob("*.py") if path.stem != "__init__")
    assert registry.names() == tuple(files)
    assert {"binance", "bitfinex", "bittrex"} <= set(files)


@pytest.mark.parametrize("name", registry.names())
def test_each_file_holds_the_exchange_it_is_named_after(name: str) -> None:
    exchange = registry.get(name)
    assert exchange.name == name
    assert exchange.rest_url.startswith("https://")
    assert exchange.ws_url.startswith("wss://")


@pytest.mark.parametrize(
    "name", ["", "Binance", "mtgox", "ccxt:mtgox", "ccxt:", "__init__", "../common", "binance.py"]
)
def test_an_unknown_exchange_is_refused_with_the_list_of_the_known(name: str) -> None:
    with pytest.raises(BadInput) as raised:
        registry.get(name)
    known = ", ".join(registry.names()) + ", or ccxt:NAME for another that ccxt knows"
    assert (raised.value.field, raised.value.allowed) == ("exchange", known)
    assert str(raised.value) == f"Unknown exchange {name!r}; use one of {known}."


def test_an_exchange_of_ccxt_is_one_under_both_its_names() -> None:
    exchange = registry.get("ccxt:kucoin")
    assert (exchange.name, registry.name_of("ccxt:kucoin")) == ("kucoin", "kucoin")
    assert registry.get("kucoin") is exchange
    assert {*registry.names(), "kucoin"} < {*registry.known()} and len({*registry.known()}) == len(
        registry.known()
    )


def test_ccxt_is_not_taken_where_there_is_an_adapter_of_our_own() -> None:
    with pytest.raises(BadInput) as raised:
        registry.get("ccxt:binance")
    assert str(raised.value) == "binance has an adapter of its own: say binance, not ccxt:binance."


def test_without_a_websocket_an_exchange_has_history_alone() -> None:
    assert [registry.why_no_live(name) for name in ("binance", "bittrex", "kucoin", "ccxt:kucoin")] == [""] * 4
    told = "ccxt streams nothing of bigone that is understood here, so only its history can be had."
    assert registry.why_no_live("ccxt:bigone") == told


def test_asking_for_names_imports_neither_adapters_nor_ccxt() -> None:
    program = (
        "import sys; from fetchers import registry; registry.names(); registry.known(); "
        "registry.get('ccxt:kucoin').name; registry.why_no_live('ccxt:bigone'); "
        "print([name for name in sys.modules if name.startswith(('fetchers.exchanges.', 'ccxt'))])"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
