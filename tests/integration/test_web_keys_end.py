"""When keys end, those who came in with them leave; and what shuts nobody out."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close

from app.keys import Scope
from app.stores.keys import KeyStore
from common.errors import Retryable
from tests.fixtures.web import NOW_MS, SetClock, listening, rest
from tests.integration.test_web_keys import DAY_MS, TOKEN, Now, bearer, clock, closed, deps, key_of, keys
from web import session, visitors
from web.deps import Deps
from web.visitors import KEPT_S, TRUSTED_S, Visitors

__all__ = ["clock", "closed", "deps", "keys"]


@pytest.mark.parametrize("ends", ["revoked", "expired"])
async def test_a_websocket_ends_with_the_key_that_opened_it(
    closed: Deps, keys: KeyStore, clock: SetClock, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr(visitors, "KEPT_S", 0.05)
    public = replace(closed, is_public=True)
    headers, other = bearer(await key_of(keys, Scope.READ, days=1)), bearer(await key_of(keys, Scope.READ))
    async with listening(public) as address:
        where = f"ws://{address}/api/ohlcvs"
        async with (
            connect(where, additional_headers=headers) as ended,
            connect(where, additional_headers=other) as on,
        ):
            await on.send("{}")
            await on.recv()
            if ends == "revoked":
                await keys.revoke(1, NOW_MS)
            else:
                clock.set(NOW_MS + DAY_MS)
            with pytest.raises(ConnectionClosed) as raised:
                await asyncio.wait_for(ended.recv(), 10)
            assert raised.value.rcvd == Close(1008, "The key opens nothing any more.")
            await on.send("{}")
            assert "event_type" in str(await on.recv())


async def test_whoever_says_a_keys_number_has_not_used_it(deps: Deps, keys: KeyStore) -> None:
    await key_of(keys, Scope.READ)
    async with rest(deps) as web:
        web.cookies.set(session.COOKIE, session.begin("1", "a guess", 2e9))
        assert (await web.get("/api/test")).status_code == 401
    assert [one.used_ms for one in await keys.all()] == [None]


async def test_a_database_that_takes_nothing_shuts_no_key_out(deps: Deps, keys: KeyStore) -> None:
    class Full:
        by_digest = keys.by_digest

        async def used(self, number: int, now_ms: int) -> None:
            raise Retryable("The disk is full.")

    headers = bearer(await key_of(keys, Scope.READ))
    with capture_logs() as logs:
        async with rest(replace(deps, keys=Full())) as web:
            found = [(await web.get("/api/test", headers=headers)).status_code for _ in range(3)]
    told = [one["reason"] for one in logs if one["event"] == "That a key was used is not noted"]
    assert (found, told) == ([200] * 3, ["The disk is full."])


async def test_a_clock_that_is_set_back_lets_no_revoked_key_in(deps: Deps, keys: KeyStore) -> None:
    now, steady = Now(), Now()
    known = Visitors(now, steady)
    key = await key_of(keys, Scope.READ)
    assert await known.showing(key, deps)
    await keys.revoke(1, NOW_MS)
    now.s -= 3600
    steady.s += KEPT_S
    assert await known.showing(key, deps) is None


async def test_while_the_database_is_away_those_who_were_let_in_before_still_are(
    deps: Deps, keys: KeyStore
) -> None:
    now = Now()
    known = Visitors(now, now)
    key = await key_of(keys, Scope.READ)
    assert await known.showing(key, deps)

    class Away:
        async def by_digest(self, _: bytes) -> Any:
            raise Retryable("The database does not answer.")

        by_number = by_digest

        async def used(self, number: int, now_ms: int) -> Any:
            await self.by_digest(b"")

    away = replace(deps, keys=Away())
    now.s += 10 * KEPT_S
    assert await known.showing(key, away)
    with pytest.raises(Retryable):
        await known.showing("ch_another", away)
    now.s += TRUSTED_S
    with pytest.raises(Retryable):  # it may have been revoked long before
        await known.showing(key, away)
    async with rest(away) as web:
        answer = await web.get("/api/test", headers=bearer("ch_another"))
        assert (answer.status_code, answer.json()["detail"]) == (503, "The database does not answer.")
        assert (await web.get("/api/test", headers=bearer(TOKEN))).status_code == 200
