"""Each fault of the predecessor has a named test that would catch its return."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs/reference/faults.md"
ROW = re.compile(r"^\| (W\d+) \| (.+?) \| (.+?) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> dict[str, str]:
    return {fault: tests for fault, _told, tests in ROW.findall(TABLE.read_text())}


def test_the_table_names_each_fault_once() -> None:
    assert [fault for fault, _, _ in ROW.findall(TABLE.read_text())] == [f"W{n}" for n in range(1, 31)]


@pytest.mark.parametrize("fault", [f"W{n}" for n in range(1, 31)])
def test_each_fault_has_a_test_that_exists(fault: str) -> None:
    named = TEST.findall(rows()[fault])
    assert named
    missing = [f"{path}::{name}" for path, name in named if name not in functions(ROOT / path)]
    assert missing == []


def functions(path: Path) -> set[str]:
    if not path.exists():
        return set()
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
