"""Who is started again: what was killed, and nothing that was asked to stop."""

import pytest

from scripts.docker.heal import Event, Killed


def event(action: str, ident: str = "a", **facts: str) -> Event:
    return {"Action": action, "Actor": {"ID": ident, "Attributes": {"name": f"coin-{ident}", **facts}}}


KILL = [event("kill", signal="9"), event("die", exitCode="137")]
STOP = [event("kill", signal="15"), event("die", exitCode="0"), event("stop")]
STUBBORN = [event("kill", signal="2"), event("kill", signal="9"), event("die", exitCode="137")]


@pytest.mark.parametrize(
    ("events", "down"),
    [
        (KILL, {"a": "coin-a"}),
        (STOP, {}),
        (STUBBORN, {}),
        ([*STUBBORN, event("stop")], {}),
        ([event("die", exitCode="137")], {}),
        ([*KILL, event("start")], {}),
        ([*KILL, event("start"), *KILL], {"a": "coin-a"}),
        ([*KILL, event("start"), *STOP], {}),
        ([*STOP, event("start"), *KILL], {"a": "coin-a"}),
        ([KILL[0], event("kill", "b", signal="15"), event("die", "b"), KILL[1]], {"a": "coin-a"}),
        ([event("kill", signal="1"), *KILL], {"a": "coin-a"}),
        ([*KILL, event("destroy")], {}),
    ],
)
def test_what_docker_kill_ended_is_down_and_nothing_else(events: list[Event], down: dict[str, str]) -> None:
    killed = Killed()
    for one in events:
        killed.hear(one)
    assert killed.down == down
