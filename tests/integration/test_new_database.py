"""A new database takes the best storage tier that it can have; one that is there keeps its own."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.migrate import create_sql, upgrade
from app.tiers import Tier
from tests.fixtures.postgres import execute, run_apart

#: TimescaleDB in WebAssembly is slow on a busy machine.
pytestmark = pytest.mark.timeout(900)


def tier_of(url: str) -> str:
    async def ask() -> str:
        connection = await asyncpg.connect(url)
        try:
            return str(await connection.fetchval("SELECT tier FROM storage"))
        finally:
            await connection.close()

    return run_apart(ask())


@pytest.fixture
def guest_url(apache_server: str) -> Iterator[str]:
    """A database without TimescaleDB on a server that has it, for a role that may make tables and nothing else."""
    admin = f"{apache_server}/postgres"
    execute(admin, "CREATE ROLE guest LOGIN PASSWORD 'a-guests-word'", "CREATE DATABASE guests TEMPLATE template0")
    execute(f"{apache_server}/guests", "GRANT CREATE, USAGE ON SCHEMA public TO guest")
    parts = urlsplit(f"{apache_server}/guests")
    yield parts._replace(netloc=f"guest:a-guests-word@{parts.hostname}:{parts.port}").geturl()
    execute(admin, "DROP DATABASE guests WITH (FORCE)", "DROP ROLE guest")


def test_a_new_database_takes_the_best_tier_of_its_server(tier: Tier, request: pytest.FixtureRequest) -> None:
    name = "empty_postgres_url" if tier is Tier.PLAIN else f"empty_{tier}_url"
    url, told = request.getfixturevalue(name), list[str]()
    upgrade(url, told.append)
    assert (tier_of(url), told) == (tier, [])


@pytest.mark.parametrize("tier", [Tier.APACHE])
def test_a_database_that_is_there_keeps_its_tier(plain_url: str) -> None:
    told = list[str]()
    upgrade(plain_url, told.append)
    assert (tier_of(plain_url), told) == (Tier.PLAIN, [])


def test_an_owner_is_given_timescaledb_where_the_server_has_it(guest_url: str, apache_server: str) -> None:
    execute(f"{apache_server}/postgres", "ALTER DATABASE guests OWNER TO guest")
    told = list[str]()
    upgrade(guest_url, told.append)
    assert (tier_of(guest_url), told) == (Tier.APACHE, [])


def test_a_role_that_may_not_is_told_how_to_a_better_tier_and_goes_on_as_plain(
    guest_url: str, apache_server: str
) -> None:
    told = list[str]()
    upgrade(guest_url, told.append)
    (advice,) = told
    first, _, last = advice.partition(" and this database does not, so that its tier is plain; ")
    assert first.startswith("The server has TimescaleDB 2.")
    steps = "CREATE EXTENSION timescaledb in it as a superuser, then candlehouse db raise-tier"
    assert last == f"for a better one: {steps}."
    assert tier_of(guest_url) == Tier.PLAIN
    upgrade(guest_url, told.append)
    assert told == [advice]  # once


def test_what_one_file_makes_is_plain(empty_apache_url: str) -> None:
    execute(empty_apache_url, create_sql())
    assert tier_of(empty_apache_url) == Tier.PLAIN
