"""`python -m scripts.docker.follow EXCHANGE`: its stream's log, or the reason why there is none."""

import os
import sys

from app.settings import load_settings
from fetchers import registry


def main(exchange: str) -> None:
    """Becomes `tail`, so that the pane costs nothing."""
    settings = load_settings()
    if exchange in settings.streaming:
        log = settings.log_dir / f"websockets/{exchange}_websocket.log"
        os.execvp("tail", ["tail", "-n", "100", "-F", str(log)])
    print(why_silent(exchange, settings.exchange_names), flush=True)
    os.execvp("sleep", ["sleep", "infinity"])


def why_silent(exchange: str, chosen: tuple[str, ...]) -> str:
    """One sentence; `chosen` are the exchanges of the settings."""
    closed = registry.get(exchange).closed or registry.why_no_live(exchange)
    if closed:
        return f"{exchange} is silent: {closed}"
    return f"{exchange} is silent: EXCHANGES in .env names {', '.join(chosen)}. Add it there to stream it."


if __name__ == "__main__":
    main(sys.argv[1])
