"""Where a simulated market is found: every exchange at the bundled simulator."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from fetchers import registry

#: What the demo plays unless EXCHANGES says otherwise.
DEMO_EXCHANGES = "binance,bitfinex,bittrex"


def simulated(host: str, port: int, others: Iterable[str] = ()) -> dict[str, str]:
    """Each exchange under its own prefix of the simulator, with the paths of its real addresses.

    `others`, ccxt's, it does not play, but they must not be asked in earnest while it plays.
    """
    found = {"MARKET": "simulated"}
    for name in registry.names():
        adapter = registry.get(name)
        found[f"{name.upper()}_REST_URL"] = f"http://{host}:{port}/{name}{urlsplit(adapter.rest_url).path}"
        found[f"{name.upper()}_WS_URL"] = f"ws://{host}:{port}/{name}{urlsplit(adapter.ws_url).path}"
    for name in set(others) - set(registry.names()):
        found |= {f"{name.upper()}_{kind}_URL": f"http://{host}:{port}/{name}" for kind in ("REST", "WS")}
    found["BINANCE_ARCHIVE_URL"] = f"http://{host}:{port}/binance/archive"
    return found
