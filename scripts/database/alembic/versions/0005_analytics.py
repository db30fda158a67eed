"""Executes revisions/0005_analytics.sql."""

from app.migrate import run_revision

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_revision(revision)
