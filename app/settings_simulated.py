"""Where a simulated market is found: every exchange at the bundled simulator."""

from urllib.parse import urlsplit

from fetchers import registry

#: What the demo plays unless EXCHANGES says otherwise.
DEMO_EXCHANGES = "binance,bitfinex,bittrex"


def simulated(host: str, port: int) -> dict[str, str]:
    """Each exchange under its own prefix of the simulator, with the paths of its real addresses."""
    found = {"MARKET": "simulated"}
    for name in registry.names():
        adapter = registry.get(name)
        found[f"{name.upper()}_REST_URL"] = f"http://{host}:{port}/{name}{urlsplit(adapter.rest_url).path}"
        found[f"{name.upper()}_WS_URL"] = f"ws://{host}:{port}/{name}{urlsplit(adapter.ws_url).path}"
    found["BINANCE_ARCHIVE_URL"] = f"http://{host}:{port}/binance/archive"
    return found
