"""Which exchanges there are: one module of `fetchers/exchanges/` each, found by its file name."""

import pkgutil
from importlib import import_module

from common.errors import BadInput
from common.ports import Exchange
from fetchers import exchanges


def names() -> tuple[str, ...]:
    """The known exchanges in alphabetical order. Imports none of them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(exchanges.__path__)))


def get(name: str) -> Exchange:
    """The adapter called `name`. Raises BadInput with the list of what there is."""
    if name not in names():
        known = ", ".join(names())
        raise BadInput("exchange", f"Unknown exchange {name!r}; use one of {known}.", known)
    exchange: Exchange = import_module(f"{exchanges.__name__}.{name}").EXCHANGE
    return exchange
