"""An hour of market time with eight workers, live candles and disconnects, within the limits: `make soak`.

CLOCK_RATE=60      market seconds in a real one; 1 is a real hour, with the exchange's own limit
MINUTES=60         of market time
EXCHANGE=binance   or bitfinex
LIMIT=             weight a minute that the simulator allows; by default the documented one, divided by CLOCK_RATE

Prints one JSON line of figures, and a sentence for each promise that was broken; exit status 1 if there is any.
"""

import asyncio
import json
import os
import random
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from app.jobs.asked import time_text
from app.stores.symbols import StoredSymbol
from celery_app.worker_loop import Resources, open_resources
from common.market import Instrument
from common.span import DAY_MS, MINUTE_MS, Span, floor_minute
from fetchers import registry
from tests.fixtures.workers import rest
from tests.soak.fleet import STREAMED, Fleet, Plan, fleet, plan_of, servers
from tests.soak.verdicts import asked, used_within

#: History is asked in pages of so many minutes, far fewer than a page may have: it is the asking that is tried.
PAGE_MINUTES = 30
#: Between two disconnects, in market minutes.
CALM_MINUTES = (2, 7)
#: Real seconds for the first page of history to come, and for the last holes to be healed.
START_LIMIT_S, HEAL_LIMIT_S = 120, 300


async def run(plan: Plan, folder: Path, postgres_url: str, redis_url: str) -> dict[str, Any]:
    """The figures."""
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(fleet(plan, postgres_url, redis_url, folder))
        resources = await stack.enter_async_context(open_resources(running.settings))
        async with asyncio.TaskGroup() as group:
            ordering = group.create_task(order_history(plan, running))
            async with asyncio.timeout(START_LIMIT_S):
                while not await history_requests(resources):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.1)
            # Whoever begins within a minute does not stream all of it.
            begin_ms = floor_minute(plan.clock.now_ms()) + 2 * MINUTE_MS
            span = Span(begin_ms, begin_ms + plan.minutes * MINUTE_MS)
            disconnects = await disconnect_until(plan, running, span.end_ms)
            ordering.cancel()
        log = await asyncio.to_thread(running.simulator.get, "/_sim/verdicts")
        verdicts = asked([one for one in log if one["at_ms"] < span.end_ms])
        history = await history_requests(resources)
        wrong = await heal(running, resources, span)
    return {
        "soak": plan.exchange,
        "clock_rate": plan.clock.rate,
        "minutes": plan.minutes,
        "stated": plan.stated,
        "allowed": plan.allowed,
        **verdicts._asdict(),
        "share_of_allowed": round(used_within(log, span) / plan.allowed / plan.minutes, 3),
        "history_requests": history,
        "disconnects": disconnects,
        "live_minutes": plan.minutes * len(STREAMED),
        "live_minutes_wrong": wrong,
    }


async def order_history(plan: Plan, running: Fleet) -> None:
    """More than can be asked for within the run, a page of each market at a time, ever further back."""
    names = ",".join(f"{one.base}/{one.quote}" for one in running.simulator.market.symbols(plan.exchange))
    page = registry.get(plan.exchange).page(Instrument(plan.exchange, "A", "B", "AB"), Span(0, MINUTE_MS), 0)
    end_ms = floor_minute(plan.clock.now_ms()) - 2 * DAY_MS
    wanted = 1.2 * plan.allowed * (plan.minutes + 5) / page.request.weight
    while wanted > 0:
        start_ms = end_ms - PAGE_MINUTES * MINUTE_MS
        times = ("--start", time_text(start_ms), "--end", time_text(end_ms))
        command = ("fetch", "--exchange", plan.exchange, *times, "--symbols", names, "--detach")
        done = await rest(running.environment, *command)
        assert done.status == 0, done
        end_ms, wanted = start_ms, wanted - names.count(",") - 1


async def disconnect_until(plan: Plan, running: Fleet, end_ms: int) -> int:
    """Cut every connection now and then; how often."""
    count = 0
    while (left_ms := end_ms - plan.clock.now_ms()) > 0:
        await plan.clock.sleep(min(random.uniform(*CALM_MINUTES) * 60, left_ms / 1000))
        if plan.clock.now_ms() < end_ms:
            await asyncio.to_thread(running.simulator.fault, plan.exchange, "disconnect")
            count += 1
    return count


async def heal(running: Fleet, resources: Resources, span: Span) -> int:
    """Wait until the streamed markets hold the truth; how many minutes are still wrong if that takes too long."""
    known = (await resources.stores.symbols.load(running.settings.exchange_names[0])).values()
    markets = [one for one in known if one.instrument.symbol in STREAMED]
    truth = {one.id: await asyncio.to_thread(true_rows, running, one, span) for one in markets}
    wrong = sum(map(len, truth.values()))
    with suppress(TimeoutError):
        async with asyncio.timeout(HEAL_LIMIT_S):
            while wrong := await differences(resources, truth, span):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(1)
    return wrong


def true_rows(running: Fleet, market: StoredSymbol, span: Span) -> set[tuple[float, ...]]:
    one = market.instrument
    return set(map(tuple, running.simulator.truth(one.exchange, one.base, one.quote, *span)))


async def differences(resources: Resources, truth: Mapping[int, set[tuple[float, ...]]], span: Span) -> int:
    """Minutes that are missing, wrong or too many."""
    async with resources.stores.db.connection() as connection:
        rows = await connection.fetch(
            "SELECT symbol_id, time, open, high, low, close, volume FROM candles"
            " WHERE symbol_id = ANY ($1) AND time >= $2 AND time < $3",
            list(truth),
            *span,
        )
    stored: dict[int, set[tuple[float, ...]]] = {symbol_id: set() for symbol_id in truth}
    for symbol_id, *row in rows:
        stored[symbol_id].add(tuple(row))
    return sum(len({row[0] for row in truth[one] ^ stored[one]}) for one in truth)


async def history_requests(resources: Resources) -> int:
    async with resources.stores.db.connection() as connection:
        return int(await connection.fetchval("SELECT coalesce(sum(requests), 0) FROM fetch_jobs"))


def broken(figures: Mapping[str, Any]) -> list[str]:
    """A sentence for each promise that was not kept."""
    promises = {
        f"A minute held {figures['most']} of the {figures['allowed']} that are allowed.": (
            figures["most"] <= figures["allowed"]
        ),
        f"The exchange refused: {figures['refused']}.": not figures["refused"],
        f"{figures['live_minutes_wrong']} live minutes are not the truth.": not figures["live_minutes_wrong"],
        "No connection was ever cut.": figures["disconnects"] > 0,
        "Less than half of what is allowed was asked.": figures["share_of_allowed"] >= 0.5,
    }
    return [sentence for sentence, kept in promises.items() if not kept]


def main() -> int:
    plan, folder = plan_of(os.environ), Path(tempfile.mkdtemp(prefix="candlehouse-soak."))
    print(f"Logs are in {folder}.", file=sys.stderr, flush=True)
    with servers() as (postgres_url, redis_url):
        figures = asyncio.run(run(plan, folder, postgres_url, redis_url))
    print(json.dumps(figures))
    sentences = broken(figures)
    print(*sentences, sep="\n", end="\n" if sentences else "", file=sys.stderr)
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
