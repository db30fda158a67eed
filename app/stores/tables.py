"""The tables as SQLAlchemy Core knows them. A test compares every column with the live database."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, TSTZMULTIRANGE, TSTZRANGE

metadata = MetaData()


class Moment(TypeDecorator[int]):
    """A timestamptz, which is an int of UTC milliseconds on our connections; see app.stores.database."""

    impl = TIMESTAMP(timezone=True)
    cache_ok = True


symbol_exchange = Table(
    "symbol_exchange",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("exchange", Text),
    Column("market_type", Text),
    Column("base_id", Text),
    Column("quote_id", Text),
    Column("symbol", Text),
    Column("native_base", Text),
    Column("native_quote", Text),
    Column("is_trading", Boolean),
    Column("tick_size", Double),
    Column("price_decimals", SmallInteger),
    Column("amount_decimals", SmallInteger),
    Column("listed_at", Moment),
    Column("delisted_at", Moment),
    Column("successor_of", Integer),
    Column("first_seen", Moment),
    Column("last_seen", Moment),
)

symbol_names = Table(
    "symbol_names",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("symbol_id", Integer),
    *(Column(name, Text) for name in ("exchange", "market_type", "base_id", "quote_id")),
    *(Column(name, Text) for name in ("symbol", "native_base", "native_quote")),
    Column("renamed_at", Moment),
    Column("serves_before", Moment),
)

symbols_joined = Table(
    "symbols_joined", metadata, Column("gone", Integer, primary_key=True), Column("into_id", Integer)
)

symbols_version = Table(
    "symbols_version", metadata, Column("single", Boolean, primary_key=True), Column("version", BigInteger)
)

candles = Table(
    "candles",
    metadata,
    Column("symbol_id", Integer, primary_key=True),
    Column("time", Moment, primary_key=True),
    *(Column(name, Double) for name in ("open", "high", "low", "close", "volume", "quote_volume")),
    Column("trades", Integer),
    Column("source", SmallInteger),
)

candle_revisions = Table(
    "candle_revisions",
    metadata,
    Column("id", BigInteger),
    Column("time", Moment),
    Column("superseded_at", Moment),
    *(Column(name, Double) for name in ("open", "high", "low", "close", "volume", "quote_volume")),
    Column("symbol_id", Integer),
    Column("trades", Integer),
    Column("source", SmallInteger),
)

candle_arrivals = Table(
    "candle_arrivals",
    metadata,
    Column("symbol_id", Integer),
    Column("arrived_at", Moment),
    Column("span", TSTZRANGE),
)

storage = Table("storage", metadata, Column("single", Boolean, primary_key=True), Column("tier", Text))

coverage = Table(
    "coverage",
    metadata,
    Column("symbol_id", Integer, primary_key=True),
    Column("covered", TSTZMULTIRANGE),
    Column("wanted", TSTZMULTIRANGE),
    Column("horizon", Moment),
    Column("dropped", TSTZRANGE),
    Column("audited_until", Moment),
)

imported_archives = Table(
    "imported_archives",
    metadata,
    Column("symbol_id", Integer, primary_key=True),
    Column("file", Text, primary_key=True),
    Column("checksum", Text),
    Column("covered", TSTZRANGE),
    Column("rows", Integer),
    Column("imported_at", Moment),
)

rollup_dirty = Table(
    "rollup_dirty",
    metadata,
    Column("id", BigInteger),
    Column("symbol_id", Integer),
    Column("span", TSTZRANGE),
)

ohlcvs_errors = Table(
    "ohlcvs_errors",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("exchange", Text),
    Column("symbol", Text),
    Column("start_date", Moment),
    Column("end_date", Moment),
    Column("time_frame", Text),
    Column("ohlcv_section", Text),
    Column("resp_status_code", SmallInteger),
    Column("exception_class", Text),
    Column("exception_message", Text),
    Column("symbol_id", Integer),
    Column("first_at", Moment),
    Column("last_at", Moment),
    Column("attempts", Integer),
    Column("repaired_at", Moment),
)

fetch_jobs = Table(
    "fetch_jobs",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("exchange", Text),
    Column("span", TSTZRANGE),
    Column("state", Text),
    Column("created_at", Moment),
    Column("finished_at", Moment),
    Column("rows_written", BigInteger),
    Column("requests", Integer),
    Column("errors", Integer),
    Column("minutes_total", BigInteger),
    Column("note", Text),
)

fetch_job_symbols = Table(
    "fetch_job_symbols",
    metadata,
    Column("job_id", BigInteger, primary_key=True),
    Column("symbol_id", Integer, primary_key=True),
    Column("remaining", TSTZMULTIRANGE),
    Column("sought", Boolean),
)

fetch_leases = Table(
    "fetch_leases",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("job_id", BigInteger),
    Column("symbol_id", Integer),
    Column("span", TSTZRANGE),
    Column("expires_at", Moment),
    Column("worker", Text),
)

exchange_outages = Table(
    "exchange_outages",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("exchange", Text),
    Column("span", TSTZRANGE),
    Column("symbols", ARRAY(Integer)),
    Column("evidence", Text),
    Column("found_at", Moment),
)

outages_sought = Table(
    "outages_sought",
    metadata,
    Column("symbol_id", Integer, primary_key=True),
    Column("minutes", TSTZMULTIRANGE),
)

events = Table(
    "events",
    metadata,
    Column("id", Text, primary_key=True),
    Column("time", Moment),
    Column("exchange", Text),
    Column("kind", Text),
    Column("market", Text),
    Column("detail", Text),
    Column("facts", JSONB),
)


def _numbered(name: str, /, **columns: Any) -> Table:
    """A table whose rows have a number of their own."""
    return Table(name, metadata, Column("id", Integer, primary_key=True), *map(Column, columns, columns.values()))


_told = {"created_at": Moment, "told_at": Moment, "failed_at": Moment, "failure": Text}
webhooks = _numbered("webhooks", url=Text, secret=Text, kinds=ARRAY(Text), **_told)
_open = {"created_at": Moment, "expires_at": Moment, "used_at": Moment, "revoked_at": Moment}
api_keys = _numbered("api_keys", name=Text, scope=Text, per_minute=Integer, digest=LargeBinary, **_open)

market_kind = Table("market_kind", metadata, Column("single", Boolean, primary_key=True), Column("kind", Text))
clock_now = Table("clock_now", metadata, Column("single", Boolean, primary_key=True), Column("now", Moment))
usd_like = Table("usd_like", metadata, Column("quote_id", Text, primary_key=True))

test = Table(
    "test",
    metadata,
    Column("id", Numeric, primary_key=True),
    Column("b", Text, primary_key=True),
    Column("q", Text, primary_key=True),
    Column("o", Numeric),
    Column("c", Numeric),
)
