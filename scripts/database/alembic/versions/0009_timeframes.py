"""Executes revisions/0009_timeframes.sql."""

from app.migrate import run_revision

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_revision(revision)
