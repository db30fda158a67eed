"""Where the demo finds its exchanges: all of them at the bundled simulator."""

from urllib.parse import urlsplit

from fetchers import registry


def simulated(port: int) -> dict[str, str]:
    """Each exchange under its own prefix of the simulator, with the paths of its real addresses."""
    found = {}
    for name in registry.names():
        adapter = registry.get(name)
        found[f"{name.upper()}_REST_URL"] = f"http://127.0.0.1:{port}/{name}{urlsplit(adapter.rest_url).path}"
        found[f"{name.upper()}_WS_URL"] = f"ws://127.0.0.1:{port}/{name}{urlsplit(adapter.ws_url).path}"
    return found
