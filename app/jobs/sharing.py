"""Spread an exchange's markets over all processes that stream it: who comes takes a share, who goes leaves it.

Every process computes the same shares from the same roster (rendezvous hashing), so nobody has to agree with
anybody, and a change of the roster moves no more markets than it must.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b

import structlog

from app.stores.roster import LEASE_S, RENEW_S, Roster
from common.errors import Retryable
from common.market import Instrument

log = structlog.get_logger(__name__)

#: A process is believed gone once it was missed so often in a row: after Redis was away nobody has renewed yet.
MISSED = 2

#: This process's share, among how many processes, of which markets.
Carry = Callable[[Sequence[Instrument], int, Sequence[Instrument]], None]


def share(markets: Iterable[Instrument], members: Collection[str], member: str) -> list[Instrument]:
    """Those of `markets` that `member`, one of `members`, streams; each market has exactly one."""
    return [one for one in markets if max(members, key=lambda each: _weight(each, one.native_key)) == member]


def _weight(member: str, native_key: str) -> bytes:
    """By the exchange's name, so that no market moves when we call it otherwise."""
    return blake2b(f"{member} {native_key}".encode(), digest_size=8).digest()


def _names(markets: Iterable[Instrument]) -> set[tuple[str, ...]]:
    """What they are called, and were."""
    return {(one.native_key, one.key, *(before.key for before in one.former)) for one in markets}


class Sharing:
    """Tells `carry` whenever the share of this process, the number of processes or the listing changes.

    What goes to another process is kept for as long as a lease, so that the other one has time to subscribe.
    """

    def __init__(self, roster: Roster, carry: Carry, exchange: str) -> None:
        self._roster = roster
        self._carry = carry
        self._exchange = exchange
        self._markets: list[Instrument] = []
        self._members = {roster.member}
        self._missed: dict[str, int] = {}
        self._mine: dict[str, Instrument] = {}
        self._leaving: dict[str, float] = {}
        self._told: tuple[set[str], int, set[tuple[str, ...]]] | None = None

    def stream(self, markets: Sequence[Instrument]) -> None:
        """These are all markets that the processes are to stream together."""
        self._markets = list(markets)
        self._divide()

    async def join(self) -> None:
        """Before the first share is computed: who is here already?"""
        with suppress(Retryable):
            self._members = await self._roster.renew()

    async def run(self) -> None:
        """For ever; when cancelled the others are told."""
        try:
            while True:
                await asyncio.sleep(RENEW_S)
                with suppress(Retryable):  # whoever writes to Redis tells that it is away
                    self._see(await self._roster.renew())
                if self._leaving:
                    self._divide()
        finally:
            with suppress(Retryable, asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(self._roster.leave(), 2)

    def _see(self, present: set[str]) -> None:
        for member in self._members - present:
            self._missed[member] = self._missed.get(member, 0) + 1
        self._missed = {one: count for one, count in self._missed.items() if one not in present and count < MISSED}
        members = present | self._missed.keys()
        if members != self._members:
            log.info("Streams share the markets", exchange=self._exchange, processes=len(members))
            self._members = members
            self._divide()

    def _divide(self) -> None:
        listed = {one.native_key: one for one in self._markets}
        mine = {one.native_key: one for one in share(self._markets, self._members, self._roster.member)}
        now_s = time.monotonic()
        kept = {key: listed[key] for key in self._mine if key not in mine and key in listed}
        self._leaving = {key: self._leaving.get(key, now_s + LEASE_S) for key in kept}
        kept = {key: one for key, one in kept.items() if self._leaving[key] > now_s}
        self._mine = mine | kept
        now = set(self._mine), len(self._members), _names(self._markets)
        if now != self._told:
            self._told = now
            self._carry(list(self._mine.values()), len(self._members), self._markets)
