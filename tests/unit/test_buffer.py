"""The buffer keeps the newest of each minute, and every closed candle, until somebody takes them."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.buffer import Buffer
from app.messages import CandleMessage
from tests.fixtures.live import BTC, ETH, message

CLOSED = 2


async def everything(buffer: Buffer) -> list[CandleMessage]:
    return await buffer.take(10_000) if len(buffer) else []


async def test_a_newer_state_takes_the_place_of_one_that_nobody_took() -> None:
    buffer = Buffer()
    for volume in (1, 2, 3):
        buffer.put(message(0, volume))
        buffer.put(message(0, volume, instrument=ETH))
    assert await everything(buffer) == [message(0, 3), message(0, 3, instrument=ETH)]


async def test_no_minute_is_lost_while_nobody_takes() -> None:
    """W27: memory grows by one message a minute and market, however often the minute changes."""
    buffer, sent = Buffer(), []
    for minute in range(60):
        for volume in range(1, 20):
            buffer.put(message(minute, volume))
        sent.append(message(minute, 20, CLOSED))
        buffer.put(sent[-1])
    assert len(buffer) == 60
    assert await everything(buffer) == sent


async def test_a_running_state_never_replaces_a_closed_candle() -> None:
    buffer = Buffer()
    buffer.put(message(0, 2, CLOSED))
    buffer.put(message(0, 1))
    assert await everything(buffer) == [message(0, 2, CLOSED)]


async def test_a_correction_of_what_nobody_saw_is_the_closed_candle() -> None:
    buffer = Buffer()
    buffer.put(message(0, 2, CLOSED))
    buffer.put(message(0, 3, CLOSED, corrected=True))
    assert await everything(buffer) == [message(0, 3, CLOSED)]


async def test_a_correction_of_what_was_taken_says_so() -> None:
    buffer = Buffer()
    buffer.put(message(0, 2, CLOSED))
    taken = await everything(buffer)
    buffer.put(message(0, 3, CLOSED, corrected=True))
    buffer.put_back(taken)
    assert await everything(buffer) == [message(0, 3, CLOSED, corrected=True)]


async def test_what_could_not_be_delivered_is_first_in_line_again() -> None:
    buffer = Buffer()
    for minute in range(4):
        buffer.put(message(minute, 1))
    taken = await buffer.take(2)
    buffer.put(message(1, 2))
    buffer.put_back(taken)
    assert await everything(buffer) == [message(0, 1), message(1, 2), message(2, 1), message(3, 1)]


async def test_taking_waits_for_something_to_come() -> None:
    buffer = Buffer()
    taking = asyncio.ensure_future(buffer.take(5))
    await asyncio.sleep(0)
    assert not taking.done()
    buffer.put(message())
    assert await taking == [message()]


STEP = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 2)),
    st.tuples(st.just("deliver"), st.integers(1, 3)),
    st.tuples(st.just("fail"), st.integers(1, 3)),
)


@pytest.mark.parametrize("closes", [False, True])
@given(steps=st.lists(STEP, max_size=40))
def test_the_last_state_of_each_minute_is_always_delivered(closes: bool, steps: list[tuple[str, int]]) -> None:
    async def run() -> None:
        buffer, fed, delivered = Buffer(), dict[int, CandleMessage](), dict[int, CandleMessage]()
        for volume, (step, number) in enumerate([*steps, ("deliver", 99)], 1):
            if step == "put":
                already = fed.get(number)
                corrected = bool(already and already.closed)
                source = CLOSED if corrected or (closes and volume % 3 == 0) else 0
                fed[number] = message(number, volume, source, corrected=corrected)
                buffer.put(fed[number])
            elif len(buffer):
                taken = await buffer.take(number)
                if step == "fail":
                    buffer.put_back(taken)
                else:
                    delivered |= {(one.time - message().time) // 60_000: one for one in taken}
        assert {k: one.volume for k, one in delivered.items()} == {k: one.volume for k, one in fed.items()}
        assert {k: one.closed for k, one in delivered.items()} == {k: one.closed for k, one in fed.items()}

    asyncio.run(run())


async def test_two_markets_that_bore_one_name_keep_each_its_own_minute() -> None:
    buffer, later = Buffer(), replace(BTC, native="BTC2USDT")
    told = [message(0, 1, 2), message(0, 2, 2, later)]
    for one in told:
        buffer.put(one)
    assert await everything(buffer) == told
