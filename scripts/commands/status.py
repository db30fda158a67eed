"""`candlehouse status`: what runs, how fresh it is, how far the fetches are, and how to look inside."""

import asyncio
from collections.abc import Iterator

import typer

from app import report, running
from app.jobs.asked import time_text
from app.report import Report, Stream
from app.settings import Settings, load_settings
from app.stores.budget import BudgetState
from app.stores.plan import JobRow, Progress
from app.stores.retention import Horizons


def status() -> None:
    """Exit with 0 when every configured exchange is live and both servers answer, else with 1."""
    settings = load_settings()
    found = asyncio.run(report.make(settings))
    for line in (*_instance(settings), *_lines(found), *_doors()):
        typer.echo(line)
    if found.troubles:
        raise typer.Exit(1)


def _instance(settings: Settings) -> Iterator[str]:
    state = running.alive(settings.data_dir)
    if state is None or state != settings.instance:
        yield "No instance of its own; the servers are those of the settings."
        return
    kind = "The demo" if state.demo else "Candlehouse"
    yield f"{kind} runs at {state.web_url} (process {state.supervisor.pid})."
    yield "Roles: " + ", ".join(f"{name} {child.pid}" for name, child in state.children.items())


def _lines(found: Report) -> Iterator[str]:
    yield ""
    for stream in found.streams:
        yield _stream(stream)
    yield from (_budget(*one) for one in found.budgets.items() if any(one[1]))
    if found.tier is not None:
        yield f"About {found.candles:,} candles of {found.symbols:,} symbols; {found.dirty:,} spans to roll up."
        better = found.better.place > found.tier.place
        raised = f"; the server has {found.better}: candlehouse db raise-tier" if better else ""
        yield f"Storage tier {found.tier}{raised}."
    if found.room:
        yield found.room.free
    if found.horizons.symbols:
        yield _horizons(found.horizons)
    if found.failures:
        yield f"{found.failures:,} failed fetches are not repaired; ohlcvs_errors says which and why."
    for job, progress in found.jobs:
        yield _job(job, progress)
    for trouble in found.troubles:
        yield f"! {trouble}"


def _stream(stream: Stream) -> str:
    age = "no candle yet" if stream.age_s is None else f"newest candle {stream.age_s:.0f} s old"
    counts = f"{stream.connections} connections, {stream.symbols} symbols"
    problem = f" ({stream.last_error})" if stream.last_error else ""
    return f"{stream.exchange:10} {stream.state:10} {counts}, {age}{problem}"


def _budget(exchange: str, state: BudgetState) -> str:
    limit = f" of {state.limit:,}" if state.limit else ""
    waiting = state.waiting_live + state.waiting_history
    asked = f"{state.used:,}{limit} rate units in the last minute, {waiting} requests wait"
    return f"{exchange:10} {asked}" + (f"; {state.sentence}" if state.quiet_until_ms else "")


def _horizons(found: Horizons) -> str:
    days = [time_text(ms).split("T")[0] for ms in (found.first_ms, found.last_ms) if ms is not None]
    before = " to ".join(dict.fromkeys(days))
    return f"Minutes before {before} are dropped for {found.symbols:,} symbols; their bars are kept."


def _job(job: JobRow, progress: Progress) -> str:
    total, done = progress.minutes_total, progress.minutes_total - progress.minutes_left
    share = 100 * done / total if total else 100
    counts = f"{progress.rows_written:,} rows, {progress.errors} errors"
    counts += f"; its last page waits: {progress.note}" if progress.note else ""
    return f"Fetch {job.id} of {job.exchange}: {progress.state}, {share:.0f} % of {total:,} minutes, {counts}"


def _doors() -> Iterator[str]:
    """Lines to paste into a shell; they find the same servers, and show no password."""
    yield from ("", "Look inside:", "  candlehouse psql", "  candlehouse redis-cli")
