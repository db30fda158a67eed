"""Executes revisions/0020_events.sql."""

from app.migrate import run_revision

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    run_revision(revision)
