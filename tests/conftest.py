"""Fixtures that every test may ask for: a real PostgreSQL and a real Redis, each test with its own data."""

import itertools
import logging
import os
import signal
from collections.abc import AsyncIterator, Generator, Iterator

import hypothesis
import pytest
import redis
import redis.asyncio
import structlog

from app.migrate import create_sql, raise_tier, upgrade
from app.stores.database import Database, open_database
from app.tiers import Tier
from tests.fixtures.postgres import Server, execute, running_postgres
from tests.fixtures.redis import running_redis
from tests.fixtures.tiers import open_tier, running_apache, running_timescale

TEMPLATE = "candlehouse_template"
#: What CANDLEHOUSE_REQUIRE may name, and the word in a skip's reason that tells it is absent.
ABSENT = {
    "shared": "recording",
    "browser": "chromium",
    "libraries": "node_modules",
    "postgres": "PostgreSQL",
    "redis": "Redis",
    "docker": "Docker Engine",
}
_numbers = itertools.count()


def pytest_configure() -> None:
    """A shell that starts us in the background ignores Ctrl-C, and so would whatever a test interrupts.

    And no test asserts seconds, which hypothesis does by default.
    """
    hypothesis.settings.register_profile("candlehouse", deadline=None)
    hypothesis.settings.load_profile("candlehouse")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips for want of what this run must have (as CI's must) fails instead."""
    report = yield
    required = os.environ.get("CANDLEHOUSE_REQUIRE", "").split(",")
    missing = [name for name in required if name and report.skipped and ABSENT[name] in str(report.longrepr)]
    if missing:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} skips, but this run requires {missing[0]}: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command that a test calls in its own process logs to where that test's output goes, and no further."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for added in set(root.handlers) - set(handlers):
        root.removeHandler(added)
        added.close()
    for handler in handlers:
        root.addHandler(handler)  # which does nothing where it is still there
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """One PostgreSQL for the session, holding a migrated database that tests copy."""
    with running_postgres() as server:
        execute(server.url("postgres"), f"CREATE DATABASE {TEMPLATE}")
        upgrade(server.url(TEMPLATE))
        execute(server.url("postgres"), f"ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false IS_TEMPLATE true")
        yield server


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """A migrated database without rows, for this test alone."""
    name, admin = f"test_{next(_numbers)}", postgres_server.url("postgres")
    execute(admin, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield postgres_server.url(name)
    execute(admin, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_postgres_url(postgres_server: Server) -> Iterator[str]:
    """A database that was never migrated."""
    name, admin = f"test_{next(_numbers)}", postgres_server.url("postgres")
    execute(admin, f"CREATE DATABASE {name} TEMPLATE template0")
    yield postgres_server.url(name)
    execute(admin, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """`postgres_url`, opened; closed again after the test."""
    opened = open_database(postgres_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def apache_server() -> Iterator[str]:
    with running_apache() as address:
        yield address


@pytest.fixture
def empty_apache_url(apache_server: str) -> Iterator[str]:
    """A database with TimescaleDB's free part that was never migrated."""
    name, admin = f"test_{next(_numbers)}", f"{apache_server}/postgres"
    execute(admin, f"CREATE DATABASE {name} TEMPLATE template0")
    execute(f"{apache_server}/{name}", "CREATE EXTENSION timescaledb")
    yield f"{apache_server}/{name}"
    execute(admin, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_timescale_url() -> Iterator[str]:
    """A database with all of TimescaleDB that was never migrated."""
    with running_timescale() as url:
        yield url


@pytest.fixture(params=list(Tier))
def tier(request: pytest.FixtureRequest) -> Tier:
    """Each storage tier in turn."""
    return Tier(request.param)


@pytest.fixture
def tier_url(tier: Tier, request: pytest.FixtureRequest) -> str:
    """A migrated database of that tier without rows."""
    url: str = request.getfixturevalue("plain_url")
    raise_tier(url, tier)
    return url


@pytest.fixture
def plain_url(tier: Tier, request: pytest.FixtureRequest) -> str:
    """A migrated database without rows, of the plain tier, on a server that has `tier`."""
    if tier is Tier.PLAIN:
        return str(request.getfixturevalue("postgres_url"))
    url: str = request.getfixturevalue(f"empty_{tier}_url")
    execute(url, create_sql())
    return url


@pytest.fixture
async def tier_database(tier: Tier, tier_url: str) -> AsyncIterator[Database]:
    """`tier_url`, opened; closed again after the test."""
    opened = open_tier(tier_url, tier)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    with running_redis() as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """An emptied Redis: data in database 0, Celery's in 1."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client
