"""`candlehouse repair`: ask again for what failed, was never answered, or looks lost."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import typer
from rich.console import Console

from app import wiring
from app.jobs import asked
from app.jobs.repair import Findings, find_lost, look
from app.settings import Settings, load_settings
from app.stores.repairs import RepairStore, Spans
from app.stores.symbols import StoredSymbol
from celery_app.orders import order_work
from common.ports import Exchange
from common.span import DAY_MS, Span
from fetchers import registry
from scripts.commands import meant
from scripts.commands.desk import Desk, open_desk
from scripts.commands.progress import counted, display
from scripts.commands.watch import Watch

#: How much of the newest history is looked through minute by minute where no --start says more.
AUDIT_MS = 7 * DAY_MS

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be asked.")]
DetachOption = Annotated[bool, typer.Option("--detach", help="Do not wait; the workers go on by themselves.")]


class Repaired(NamedTuple):
    """Of one exchange: what was found, the job that asks for the gaps, and what asking for lost minutes gave."""

    exchange: str
    markets: Mapping[int, StoredSymbol]
    findings: Findings
    job: int | None = None
    found: int = 0
    refused: Sequence[str] = ()


def repair(
    exchange: meant.ExchangeOption = "",
    symbols: meant.SymbolsOption = None,
    start: meant.StartOption = None,
    end: meant.EndOption = None,
    dry_run: DryRunOption = False,
    detach: DetachOption = False,
    json: meant.JsonOption = False,
) -> None:
    """Ask again for failed pages, gaps, and minutes of the last week (or since --start) that look lost."""
    settings = load_settings()
    now_ms = wiring.clock(settings).now_ms()
    span = meant.minutes(start, end, now_ms)
    audited = span if start else Span(span.end_ms - AUDIT_MS, span.end_ms)
    chosen = [registry.get(meant.one_exchange(exchange))] if exchange or symbols else _open_ones(settings)
    for one in chosen:
        asked.check_open(one, settings.rest_url(one.name))
    raise typer.Exit(meant.run(_repair(settings, chosen, symbols, (span, audited), dry_run, detach, json)))


def _open_ones(settings: Settings) -> list[Exchange]:
    named = [registry.get(name) for name in settings.exchange_names]
    return [one for one in named if not one.closed or settings.rest_url(one.name) != one.rest_url]


async def _repair(
    settings: Settings,
    exchanges: Sequence[Exchange],
    symbols: str | None,
    spans: tuple[Span, Span],
    dry_run: bool,
    detach: bool,
    json: bool,
) -> int:
    async with open_desk(settings, "repair") as desk:
        done = []
        for exchange in exchanges:
            if len(exchanges) > 1 and not await desk.stores.symbols.load(exchange.name):
                continue
            markets = await meant.markets(desk.stores, exchange.name, symbols)
            found = await look(exchange, markets, *spans, stores=desk.stores, clock=desk.clock)
            repaired = Repaired(exchange.name, {one.id: one for one in markets}, found)
            done.append(repaired if dry_run else await _act(desk, exchange, repaired))
        if json:
            typer.echo(msgspec.json.encode([_document(one) for one in done]).decode())
        else:
            for line in (line for one in done for line in _words(one, dry_run)):
                typer.echo(line)
        status = 1 if any(one.refused for one in done) else 0
        jobs = {one.exchange: [one.job] for one in done if one.job is not None}
        if not jobs or detach or json:
            return status
        watch = Watch(desk, jobs, f"repair of {', '.join(jobs)}", display(Console()))
        return await watch.until_over() or status


async def _act(desk: Desk, exchange: Exchange, repaired: Repaired) -> Repaired:
    now_ms, findings = desk.clock.now_ms(), repaired.findings
    job = await RepairStore(desk.stores.db).plan(exchange.name, findings.gaps, now_ms, "repair")
    if job is not None:
        await order_work(desk.redis, exchange.name, job)
    found, refused = await find_lost(
        exchange,
        list(repaired.markets.values()),
        findings.absent,
        get=desk.get(exchange),
        stores=desk.stores,
        sink=desk.sink,
        clock=desk.clock,
    )
    if found:
        await desk.stores.rollups.refresh()
    return repaired._replace(job=job, found=found, refused=refused)


def _words(one: Repaired, dry_run: bool) -> list[str]:
    gaps, absent, outside = one.findings
    lines = []
    if gaps:
        planned = "" if dry_run else f", job {one.job}" if one.job else ", which unfinished jobs ask for already"
        lines.append(f"{one.exchange}: {_sum(gaps)} never answered for{planned}.")
    if absent:
        found = "" if dry_run else f"; asked again, {counted(one.found, 'candle')} came"
        lines.append(f"{one.exchange}: {_sum(absent)} answered for without a candle{found}.")
    if outside:
        lines.append(
            f"{one.exchange}: {counted(outside, 'stored minute')} outside of what was answered for, left alone."
        )
    return [*lines, *one.refused] or [f"{one.exchange}: nothing to repair."]


def _sum(spans: Spans) -> str:
    minutes = sum(span.minutes() for each in spans.values() for span in each)
    return f"{counted(minutes, 'minute')} of {counted(len(spans), 'market')}"


def _document(one: Repaired) -> dict[str, Any]:
    gaps, absent, outside = one.findings
    lists = {"gaps": _listed(one, gaps), "absent": _listed(one, absent)}
    told = {"job": one.job, "found": one.found, "refused": list(one.refused), "outside": outside}
    return {"exchange": one.exchange, **lists, **told}


def _listed(one: Repaired, spans: Spans) -> list[dict[str, Any]]:
    return [
        {"market": one.markets[symbol_id].instrument.key, "start": span.start_ms, "end": span.end_ms}
        for symbol_id, each in spans.items()
        for span in each
    ]
