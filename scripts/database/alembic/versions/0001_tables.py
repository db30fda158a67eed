"""Executes revisions/0001_tables.sql."""

from app.migrate import run_revision

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_revision(revision)
