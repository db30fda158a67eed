"""The materialized views of the analytics as SQLAlchemy Core knows them. A test compares their columns as well."""

from sqlalchemy import Column, MetaData, Numeric, Table, Text

from app.stores.tables import Moment

#: The materialized views of scripts/database/revisions/0005_analytics.sql.
metadata = MetaData()
MARKET = ("exchange", "base_id", "quote_id")
geo_daily_return = Table(
    "geo_daily_return", metadata, *(Column(name, Text) for name in MARKET), Column("daily_return_pct", Numeric)
)
weekly_return = Table(
    "weekly_return",
    metadata,
    Column("time", Moment),
    *(Column(name, Text) for name in MARKET),
    Column("weekly_return_pct", Numeric),
)
top_20_quoted_vol = Table("top_20_quoted_vol", metadata, Column("bqgrp", Text), Column("total_volume", Numeric))
top_quoted_vol_by_quote = Table(
    "top_quoted_vol_by_quote",
    metadata,
    Column("quote_id", Text),
    Column("bqgrp", Text),
    Column("total_volume", Numeric),
)
common_basequote_30 = Table("common_basequote_30", metadata, Column("base_id", Text), Column("quote_id", Text))
