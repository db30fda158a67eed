"""Executes revisions/0016_reads.sql."""

from app.migrate import run_revision

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    run_revision(revision)
