"""The predecessor's task names, so that what sends `celery_app.celery_tasks.bitfinex_resume_fetch` still works."""

import json
from collections.abc import Callable

from app.jobs import asked, instruments
from app.settings import load_settings
from app.wiring import known_exchanges
from celery_app import slices
from celery_app.celery_main import app
from celery_app.orders import order, order_work
from celery_app.worker_loop import Resources, run
from common.ports import Priority
from fetchers import registry


def fetch(exchange: str, start: str, end: str, symbols: list[str] | str | None = None) -> None:
    """Plan a fetch as `candlehouse fetch` does; `symbols` is a list, or its JSON text."""
    names = json.loads(symbols) if isinstance(symbols, str) else symbols
    run(lambda r: _fetch(r, exchange, start, end, names))


async def _fetch(r: Resources, name: str, start: str, end: str, symbols: list[str] | None) -> None:
    exchange, span = registry.get(name), asked.parse_span(start, end, r.clock.now_ms())
    await instruments.ensure_known(
        exchange, get=r.get(exchange, Priority.LIVE), symbols=r.stores.symbols, clock=r.clock
    )
    stored = await r.stores.symbols.load(name)
    chosen = (
        asked.selected(name, r.settings.symbols, stored.values())
        if symbols is None
        else asked.named(",".join(symbols), stored)
    )
    await order_work(r.redis, name, await r.stores.plan.create(name, [one.id for one in chosen], span))


def _for(exchange: str) -> dict[str, Callable[..., None]]:
    def all_symbols(start: str, end: str) -> None:
        fetch(exchange, start, end)

    def some_symbols(symbols: list[str] | str, start: str, end: str) -> None:
        fetch(exchange, start, end, symbols)

    def resume() -> None:
        run(lambda r: slices.resume(r, exchange, even_if_worked_on=True))

    return {"fetch_ohlcvs_all_symbols": all_symbols, "fetch_ohlcvs_symbols": some_symbols, "resume_fetch": resume}


def all_fetch_symbol_data() -> None:
    for exchange in known_exchanges(load_settings()):
        order("refresh_instruments", exchange)


#: By the names that they have after `celery_app.celery_tasks.`.
TASKS: dict[str, Callable[..., None]] = {
    "all_fetch_symbol_data": all_fetch_symbol_data,
    **{f"{exchange}_{name}": task for exchange in registry.names() for name, task in _for(exchange).items()},
}

for _name, _task in TASKS.items():
    app.task(name=f"celery_app.celery_tasks.{_name}")(_task)
