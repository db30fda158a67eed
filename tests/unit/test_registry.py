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


@pytest.mark.parametrize("name", ["", "Binance", "mtgox", "__init__", "../common", "binance.py"])
def test_an_unknown_exchange_is_refused_with_the_list_of_the_known(name: str) -> None:
    with pytest.raises(BadInput) as raised:
        registry.get(name)
    known = ", ".join(registry.names())
    assert (raised.value.field, raised.value.allowed) == ("exchange", known)
    assert str(raised.value) == f"Unknown exchange {name!r}; use one of {known}."


def test_asking_for_the_names_imports_no_adapter() -> None:
    program = (
        "import sys; from fetchers import registry; registry.names(); "
        "print([name for name in sys.modules if name.startswith('fetchers.exchanges.')])"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
