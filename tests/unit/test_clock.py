"""One clock for everybody: real time by default, faster from a shared anchor on request."""

import time

from common.clock import Clock


def test_two_processes_with_the_same_anchor_agree_and_run_faster() -> None:
    anchor_ms = time.time_ns() // 1_000_000 - 1_000
    before = time.time_ns() // 1_000_000
    told = Clock(60, anchor_ms).now_ms()
    after = time.time_ns() // 1_000_000
    assert anchor_ms + (before - anchor_ms) * 60 <= told <= anchor_ms + (after - anchor_ms) * 60


def test_rate_one_is_the_real_time_whatever_the_anchor() -> None:
    before = time.time_ns() // 1_000_000
    assert before <= Clock(1, 12345).now_ms() <= time.time_ns() // 1_000_000
