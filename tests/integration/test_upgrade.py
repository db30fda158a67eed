"""A database of an earlier version is brought forward with its rows; one that is too old is left alone."""

from urllib.parse import urlsplit

import pytest
from alembic import command

from app import migrate
from common.errors import BadInput
from tests.fixtures.postgres import execute, fetch

CANDLES = "SELECT * FROM candles ORDER BY symbol_id, time"
TABLES = "SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'public'"


@pytest.mark.parametrize("revision", ["0002", "0003", "0004", "0005"])
def test_an_earlier_versions_database_comes_forward_with_its_rows(
    empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    with monkeypatch.context() as earlier:
        newest = command.upgrade
        earlier.setattr(command, "upgrade", lambda config, _: newest(config, revision))
        migrate.upgrade(empty_postgres_url)
    assert fetch(empty_postgres_url, "SELECT version_num FROM alembic_version") == [(revision,)]
    execute(
        empty_postgres_url,
        "INSERT INTO symbol_exchange (exchange, base_id, quote_id, symbol, is_trading)"
        " VALUES ('binance', 'BTC', 'USDT', 'BTCUSDT', true)",
        "INSERT INTO candles (symbol_id, time, open, high, low, close, volume, source)"
        " SELECT id, '2026-01-05 00:00+00'::timestamptz + n * interval '1 minute',"
        " n, n + 2, n - 1, n + 1, n / 7.0, 3"
        " FROM symbol_exchange, generate_series(1, 500) n",
    )
    before = fetch(empty_postgres_url, CANDLES)

    migrate.upgrade(empty_postgres_url)

    assert fetch(empty_postgres_url, CANDLES) == before
    assert len(before) == 500
    newest_file = max(file.name for file in (migrate.FOLDER / "revisions").glob("*.sql"))
    assert fetch(empty_postgres_url, "SELECT version_num FROM alembic_version") == [(newest_file[:4],)]


def test_a_database_of_too_old_a_timescaledb_is_named_and_not_touched(empty_postgres_url: str) -> None:
    execute(
        empty_postgres_url,
        "INSERT INTO pg_extension VALUES (999999, 'timescaledb', 10, 2200, false, '2.8.0', NULL, NULL)",
    )
    before = fetch(empty_postgres_url, TABLES)
    with pytest.raises(BadInput) as told:
        migrate.upgrade(empty_postgres_url)
    assert str(told.value) == (
        "The database was made with TimescaleDB 2.8.0 and 2.18 is the oldest that works: "
        "as its superuser run ALTER EXTENSION timescaledb UPDATE; it was not touched."
    )
    assert fetch(empty_postgres_url, TABLES) == before


def test_whoever_connects_waits_for_no_compiler(empty_postgres_url: str) -> None:
    assert fetch(empty_postgres_url, "SHOW jit") != [("off",)]
    migrate.upgrade(empty_postgres_url)
    assert fetch(empty_postgres_url, "SHOW jit") == [("off",)]


def test_a_role_that_owns_only_the_schema_can_upgrade_all_the_same(empty_postgres_url: str) -> None:
    execute(
        empty_postgres_url,
        "DROP ROLE IF EXISTS guest",
        "CREATE ROLE guest LOGIN PASSWORD 'a-guests-word'",
        "GRANT CREATE, USAGE ON SCHEMA public TO guest",
    )
    parts = urlsplit(empty_postgres_url)
    guest = parts._replace(netloc=f"guest:a-guests-word@{parts.hostname}:{parts.port}").geturl()
    migrate.upgrade(guest)
    newest_file = max(file.name for file in (migrate.FOLDER / "revisions").glob("*.sql"))
    assert fetch(guest, "SELECT version_num FROM alembic_version") == [(newest_file[:4],)]
    execute(empty_postgres_url, "DROP OWNED BY guest CASCADE", "DROP ROLE guest")
