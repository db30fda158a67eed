"""What is installed is exactly what the lock names, from wherever the user's own tools fetch packages."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements.lock", "requirements-dev.lock", "requirements-image.lock"]


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", (ROOT / lock).read_text(), re.M))


def make(*words: str) -> str:
    """What make says, called as from a shell: the tests themselves may run under a make."""
    environ = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        ["make", *words], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    ).stdout


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=~!; ]", one, maxsplit=1)[0].lower() for one in requirements}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_with_its_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = re.split(r"\n(?=[a-z])", text.strip())
    assert [entry.split("\n")[0] for entry in entries if "--hash=sha256:" not in entry or "==" not in entry] == []
    assert re.findall(r"\S*://\S*|--\w*index\S*|--find-links", text) == []


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras, build = project["project"]["optional-dependencies"], project["dependency-groups"]["build"]
    run = names([*project["project"]["dependencies"], *extras["embedded"], *build])
    test = names(extras["test"])
    assert run | names(extras["node"]) <= set(pins("requirements.lock"))
    assert run | test <= set(pins("requirements-image.lock"))
    assert run | test | names(extras["dev"]) <= set(pins("requirements-dev.lock"))


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-image.lock"])
def test_tests_run_on_the_same_versions_as_the_program(lock: str) -> None:
    run, dev = pins(lock), pins("requirements-dev.lock")
    assert {name: dev.get(name) for name in run} == run


def test_make_alone_says_what_there_is() -> None:
    said = make()
    words = ["up", "up", "test", "lint", "bench", "soak", "soak-live", "faults", "lock", "clean"]
    assert re.findall(r"^make ([\w-]+)", said, re.M) == words


@pytest.mark.parametrize(("given", "called"), [([], ""), (["DEMO=0"], ""), (["DEMO=1"], " --demo")])
def test_demo_is_a_word_to_make(given: list[str], called: str) -> None:
    said = make("-n", "up", *given)
    assert said.rstrip(" \n").splitlines()[-1] == f"exec .venv/bin/candlehouse up{called}"


def test_without_a_new_enough_python_one_sentence_says_so(tmp_path: Path) -> None:
    for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", ROOT / "scripts/environment.sh", "python", tmp_path / "venv", "lock"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stderr == (
        "Candlehouse needs Python 3.11 or later, and none is on the PATH; install one, or name it with PYTHON=…\n"
    )
    assert (done.returncode, (tmp_path / "venv").exists()) == (1, False)
