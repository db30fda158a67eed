"""Builds, starts, kills, restores and spoils; prints a line for each promise and 'N passed, N failed' at the end.

python3 -m tests.stack            with nothing but Python and Docker; on ports and in a folder of its own
python3 -m tests.stack --keep     leaves the stack running at the end, and says where
"""

import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.stack import bad_input, shapes, story
from tests.stack.compose import CONTAINERS, Failed, Stack

Promise = Callable[[Stack], str | None]

#: In this order: each finds the stack as the one before left it.
PROMISES: tuple[Promise, ...] = (*story.PROMISES, *bad_input.PROMISES, *shapes.PROMISES)


def main(keep: bool) -> int:
    taken = subprocess.run(["docker", "ps", "-a", "--format", "{{.Names}}"], capture_output=True, text=True)
    if taken.returncode:
        print(f"No Docker Engine answers: {taken.stderr.strip()}", file=sys.stderr)
        return 2
    if mine := set(CONTAINERS) & set(taken.stdout.split()):
        print(
            f"{', '.join(sorted(mine))} exist already; stop that stack first: docker compose down.",
            file=sys.stderr,
        )
        return 2
    folder = Path(tempfile.mkdtemp(prefix="candlehouse-stack.", dir="/tmp"))
    folder.chmod(0o755)
    stack = Stack(folder)
    try:
        passed, failed = play(stack)
    finally:
        if keep:
            print(f"Left running: {folder}, ports {stack.ports}")
        else:
            clear(stack)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def play(stack: Stack) -> tuple[int, int]:
    passed = failed = 0
    for promise in PROMISES:
        name, began = (promise.__doc__ or promise.__name__).splitlines()[0].rstrip("."), time.monotonic()
        try:
            told = promise(stack)
        except Failed as error:
            failed += 1
            print(f"FAILED  {name}: {error}", flush=True)
        except Exception:  # whatever it is, the promise was not kept; the others are still to be looked at
            failed += 1
            print(f"FAILED  {name}: {traceback.format_exc()}", flush=True)
        else:
            passed += 1
            print(f"passed  {name} ({time.monotonic() - began:.0f} s){': ' + told if told else ''}", flush=True)
    return passed, failed


def clear(stack: Stack) -> None:
    stack.tried("docker", "compose", "--profile", "*", "down", "--timeout", "5", "--volumes")
    stack.remove_data()
    subprocess.run(["rm", "-rf", str(stack.folder)], check=False)


if __name__ == "__main__":
    sys.exit(main("--keep" in sys.argv[1:]))
