"""Executes revisions/0015_retention.sql."""

from app.migrate import run_revision

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run_revision(revision)
