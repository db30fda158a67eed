"""`resume` and `cancel`, and what they share with `fetch`: order the workers to it, and show how far they are."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.console import Console

from app.jobs import asked
from app.settings import Settings, load_settings
from celery_app.orders import order_work
from common.errors import BadInput
from common.ports import Exchange
from fetchers import registry
from scripts.commands import meant
from scripts.commands.desk import Desk, open_desk
from scripts.commands.progress import Display, counted, display
from scripts.commands.watch import Watch

DetachOption = Annotated[bool, typer.Option("--detach", help="Do not wait; the workers go on by themselves.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
JobArgument = Annotated[int | None, typer.Argument(help="Number of a fetch, as `candlehouse status` shows it.")]


def resume(exchange: meant.ExchangeOption = "", detach: DetachOption = False, json: JsonOption = False) -> None:
    """Go on with the unfinished jobs of an exchange, or of all."""
    settings = load_settings()
    name = one_exchange(settings, exchange).name if exchange else None
    raise typer.Exit(meant.run(_resume(settings, name, detach, display(Console(), json=json))))


def cancel(
    job: JobArgument = None,
    exchange: meant.ExchangeOption = "",
    every: Annotated[bool, typer.Option("--all", help="Every unfinished fetch.")] = False,
    json: JsonOption = False,
) -> None:
    """Stop fetches within a page; what they stored stays, and `fetch` again asks only for the rest."""
    settings = load_settings()
    if sum((job is not None, bool(exchange), every)) != 1:
        raise BadInput("job", "Say which: the number of a fetch, --exchange, or --all.")
    name = meant.one_exchange(exchange) if exchange else None
    meant.run(_cancel(settings, job, name, display(Console(), json=json)))


async def _resume(settings: Settings, exchange: str | None, detach: bool, shown: Display) -> int:
    async with open_desk(settings, "fetch") as desk:
        await desk.stores.plan.reclaim()
        jobs: dict[str, list[int]] = {}
        for job in await desk.stores.plan.unfinished(exchange):
            jobs.setdefault(job.exchange, []).append(job.id)
        if not jobs:
            shown.say(f"Nothing to resume: no job{f' of {exchange}' if exchange else ''} is unfinished.", status=0)
            return 0
        what = f"{counted(sum(map(len, jobs.values())), 'unfinished job')} of {', '.join(jobs)}"
        return await work(desk, jobs, what, detach, shown)


async def _cancel(settings: Settings, number: int | None, exchange: str | None, shown: Display) -> None:
    async with open_desk(settings, "fetch") as desk:
        unfinished = {job.id: job for job in await desk.stores.plan.unfinished(exchange)}
        if number is not None and number not in unfinished:
            state = (await desk.stores.plan.progress(number)).state
            raise BadInput("job", f"Job {number} is over already: {state}.")
        chosen = list(unfinished) if number is None else [number]
        for one in chosen:
            await desk.stores.plan.cancel(one)
            shown.say(f"Job {one} of {unfinished[one].exchange} is cancelled; what it stored stays.", job=one)
        if not chosen:
            shown.say("Nothing to cancel: no job is unfinished.")


async def work(desk: Desk, jobs: Mapping[str, list[int]], what: str, detach: bool, shown: Display) -> int:
    """Order the workers to it, and watch them unless `detach`; the exit status."""
    for exchange, numbers in jobs.items():
        for number in numbers:
            await order_work(desk.redis, exchange, number)
    watch = Watch(desk, jobs, what, shown)
    if detach:
        shown.say(f"{watch.names()} planned: {what}. `candlehouse status` shows how far it is.", status=0)
        return 0
    shown.say(f"{watch.names()} begun: {what}.", jobs=jobs)
    try:
        return await watch.until_over()
    except asyncio.CancelledError:
        shown.say(f"{watch.names()} goes on without this window. `candlehouse status` shows how far it is.")
        raise


def one_exchange(settings: Settings, name: str) -> Exchange:
    """The exchange that must be named, and may be asked."""
    exchange = registry.get(meant.one_exchange(name))
    asked.check_open(exchange, settings.rest_url(exchange.name))
    return exchange
