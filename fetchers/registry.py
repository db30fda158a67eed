"""Which exchanges there are: a module of `fetchers/exchanges/` each, found by its file name, and ccxt's."""

import pkgutil
from functools import cache
from importlib import import_module

from common.errors import BadInput
from common.ports import Exchange
from fetchers import exchanges
from fetchers.by_ccxt import names as of_ccxt

#: How one of ccxt's is named, for sentences.
SPELLED = f"{of_ccxt.PREFIX}NAME"


def names() -> tuple[str, ...]:
    """The exchanges with an adapter of their own in alphabetical order. Imports none of them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(exchanges.__path__)))


def known() -> tuple[str, ...]:
    """Those, and those of ccxt that have none. Imports none of them."""
    return (*names(), *sorted(of_ccxt.names() - {*names()}))


def choices() -> str:
    """What can be chosen, for a sentence."""
    return ", ".join(names()) + f", or {SPELLED} for another that ccxt knows"


def name_of(text: str) -> str:
    """The name under which everything of the exchange called `text` is kept: `kucoin`, too, for `ccxt:kucoin`.

    Raises BadInput with what there is.
    """
    name = text.removeprefix(of_ccxt.PREFIX)
    if name != text and name in names():
        raise BadInput("exchange", f"{name} has an adapter of its own: say {name}, not {text}.", name)
    if name not in known():
        raise BadInput("exchange", f"Unknown exchange {text!r}; use one of {choices()}.", choices())
    return name


def get(text: str) -> Exchange:
    """The adapter of the exchange called `text`. Raises BadInput with what there is."""
    return _adapter(name_of(text))


def why_no_live(text: str) -> str:
    """Why the exchange has history alone, in one sentence; empty where it can be streamed. Imports nothing."""
    name = name_of(text)
    if name in names() or of_ccxt.has_socket(name):
        return ""
    return f"ccxt streams nothing of {name} that is understood here, so only its history can be had."


@cache
def _adapter(name: str) -> Exchange:
    if name not in names():
        adapter: Exchange = import_module("fetchers.by_ccxt.adapter").CcxtExchange(name)
        return adapter
    exchange: Exchange = import_module(f"{exchanges.__name__}.{name}").EXCHANGE
    return exchange
