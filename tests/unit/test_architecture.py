"""The arrows of the design: common <- fetchers <- app <- celery_app <- web; scripts outermost."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT: dict[str, set[str]] = {
    "common": set(),
    "fetchers": {"common"},
    "app": {"common", "fetchers"},
    "celery_app": {"common", "fetchers", "app"},
    "web": {"common", "app", "celery_app"},
    "scripts": {"common", "fetchers", "app", "celery_app", "web"},
}
PURE = {
    "asyncio",
    "httpx",
    "websockets",
    "redis",
    "asyncpg",
    "sqlalchemy",
    "time",
    "datetime.now",
    "logging",
    "structlog",
}
ONLY_USER = {
    # Requests within a budget, files of a public host, messages to other programs.
    "httpx": {"fetchers/http.py", "fetchers/files.py", "app/jobs/webhooks.py"},
    "websockets": {"fetchers/stream.py"},
}
FORBIDDEN_NAMES = {"utils", "helpers", "constants", "base"}
MOST_LINES = 250
#: An exchange is one file, with the facts that it was written from.
MOST_ADAPTER_LINES = 340
MOST_FUNCTION_LINES = 40


def product_files(package: str = "*") -> list[Path]:
    packages = MAY_IMPORT if package == "*" else [package]
    return [path for name in packages for path in sorted((ROOT / name).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_one_way(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    wrong = [
        f"{name(path)} imports {module}"
        for path in product_files(package)
        for module in imports(path)
        if module.split(".")[0] in set(MAY_IMPORT) - allowed
    ]
    assert wrong == []


def test_the_web_has_the_workers_do_things_and_nothing_else_of_theirs() -> None:
    used = {
        (name(path), module)
        for path in product_files("web")
        for module in imports(path)
        if module.split(".")[0] == "celery_app"
    }
    assert used == {("web/fetches.py", "celery_app.orders")}


def test_the_domain_needs_the_standard_library_alone() -> None:
    used = {module.split(".")[0] for path in product_files("common") for module in imports(path)}
    assert used <= set(sys.stdlib_module_names) | {"common"}


def test_adapters_do_no_io_and_read_no_clock() -> None:
    wrong = [
        f"{name(path)} imports {module}"
        for path in sorted((ROOT / "fetchers/exchanges").glob("*.py"))
        for module in imports(path)
        if module.split(".")[0] in PURE
    ]
    assert wrong == []


@pytest.mark.parametrize("library", ONLY_USER)
def test_few_files_alone_speak_to_the_network(library: str) -> None:
    users = {
        name(path)
        for path in product_files()
        for module in imports(path)
        if module.split(".")[0] == library and not name(path).startswith("scripts/simulator/")
    }
    assert users <= ONLY_USER[library]


def test_settings_alone_reads_the_environment() -> None:
    readers = {
        name(path)
        for path in product_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    }
    assert readers <= {"app/settings.py"}


def test_no_module_is_a_grab_bag() -> None:
    assert [name(path) for path in product_files() if path.stem in FORBIDDEN_NAMES] == []


def most_lines(path: Path) -> int:
    return MOST_ADAPTER_LINES if path.parent.name == "exchanges" else MOST_LINES


def test_files_and_functions_stay_small() -> None:
    long = [name(path) for path in product_files() if len(path.read_text().splitlines()) > most_lines(path)]
    long += [
        f"{name(path)}:{node.name}"
        for path in product_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno + 1 > MOST_FUNCTION_LINES
    ]
    assert long == []


def test_every_module_says_what_it_is_for() -> None:
    assert [name(path) for path in product_files() if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_importing_everything_connects_to_nothing_and_reads_no_environment() -> None:
    """A fresh interpreter in which sockets, tasks and the environment are traps imports every module."""
    modules = [
        name(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in product_files()
        if "alembic" not in path.parts and path.stem != "__main__"
    ]
    code = f"""
import importlib, socket, os
def trap(*a, **k): raise AssertionError("importing opened a socket")
socket.socket.connect = trap
socket.create_connection = trap
for m in {modules!r}:
    importlib.import_module(m)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
